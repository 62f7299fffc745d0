"""A Flask application that schedules interviews and notifies the candidates, behind the proxy of `shirase up`.

    .venv/bin/shirase up --demo --route /hiring/=127.0.0.1:8100 --inbox /hiring/inbox/
    set -a; . var/shirase.env; set +a  # where the proxy and the database are, in another terminal
    .venv/bin/flask --app examples.flask_host init
    .venv/bin/gunicorn --bind 127.0.0.1:8100 "examples.flask_host:create_app()"

Then open http://127.0.0.1:7999/hiring/?user=aiko, sign in as others in other browsers, and schedule something.
"""

import os

from flask import Flask, Response, redirect, render_template_string, request, session
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from shirase.flask.app import create_blueprint
from shirase.settings import Settings
from shirase.sqlalchemy import Notifier, notify

PAGE = """<!doctype html><title>Interviews</title><p>Signed in as {{ user }}</p>
<form method="post" action="/hiring/interviews"><input name="candidate" placeholder="candidate" required>
<input name="title" placeholder="title" required> <button>Schedule</button></form><ul id="events"></ul><script>
const stream = new EventSource("/hiring/inbox/api/sse/notifications");
for (const name of ["connected", "notification", "read", "deleted", "reset", "closing"])
  stream.addEventListener(name, (event) => {
    const line = document.createElement("li"); line.textContent = `${name} ${event.data}`;
    document.getElementById("events").append(line); });
</script>"""


class Base(DeclarativeBase):
    """The application's own tables, beside those of Shirase."""


class Interview(Base):
    """An interview of a candidate."""

    __tablename__ = "interviews"
    id: Mapped[int] = mapped_column(primary_key=True)
    candidate: Mapped[str]
    title: Mapped[str]


def create_app() -> Flask:
    """The application, with the stream and the inbox of the signed-in user below /hiring/inbox."""
    app = Flask(__name__)
    app.secret_key = os.environ.get("FLASK_SECRET_KEY", "only for this example, on loopback")
    engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"))
    sessions = sessionmaker(engine)
    settings = Settings.from_env(os.environ, tokens=False)
    Notifier(settings).attach(sessions)
    blueprint = create_blueprint(settings, identify=lambda _: session.get("user"))
    app.register_blueprint(blueprint, url_prefix="/hiring/inbox")

    @app.get("/hiring/")
    def home() -> str:
        session["user"] = request.args.get("user") or session.get("user") or "nobody"  # a real one asks for a password
        return render_template_string(PAGE, user=session["user"])

    @app.post("/hiring/interviews")
    def schedule() -> Response:
        candidate, title = request.form["candidate"], request.form["title"]
        with sessions.begin() as transaction:  # both exist, or neither
            transaction.add(Interview(candidate=candidate, title=title))
            notify(transaction, user_id=candidate, type="interview.scheduled", title=title, message="")
        return redirect("/hiring/")  # type: ignore[return-value]

    app.cli.command("init")(lambda: Base.metadata.create_all(engine))
    return app
