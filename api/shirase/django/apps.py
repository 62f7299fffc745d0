"""The Django application: its services, its checks, and its tables beside the site's own."""

from functools import cached_property
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks
from django.core.signals import setting_changed
from django.db import connections, transaction
from django.db.models.signals import post_migrate
from sqlalchemy import delete

from shirase.access.rate_limits import RateLimits
from shirase.django import configuration
from shirase.django.configuration import Site
from shirase.django.database import DjangoDatabase
from shirase.inbox.draining import Draining
from shirase.inbox.notifications import create_batcher
from shirase.inbox.services import Services
from shirase.keys import FixedKeys
from shirase.proxy.publisher import Publisher
from shirase.store.migrate import migrate_on
from shirase.store.tables import Base, DatabaseNameRow


class ShiraseConfig(AppConfig):
    """``INSTALLED_APPS = [..., "shirase.django"]``."""

    name = "shirase.django"
    label = "shirase"
    verbose_name = "Shirase"

    def ready(self) -> None:
        """Register for ``manage.py check`` and ``manage.py migrate``."""
        from shirase.django.checks import check  # noqa: PLC0415 - Django's checks can be imported only now

        checks.register(check, "shirase")
        post_migrate.connect(self._migrate, sender=self)
        setting_changed.connect(self._discard_configuration, dispatch_uid=self.label)

    @cached_property
    def site(self) -> Site:
        """The site's settings, read once.

        Raises:
            SettingsError: if one is invalid; ``manage.py check`` names it.
        """
        return configuration.read()

    @cached_property
    def database(self) -> DjangoDatabase:
        """The site's own connection, with the interface of ``Database``."""
        settings = self.site.settings
        return DjangoDatabase(self.site.alias, settings.database_timeout, settings.database_schema)

    @cached_property
    def publisher(self) -> Publisher:
        """Publishes to the proxy."""
        return Publisher(self.site.settings)

    @cached_property
    def services(self) -> Services:
        """The services of the operations. Tokens are never checked, because the site signs users in."""
        settings, batcher = self.site.settings, create_batcher(self.database, self.publisher)
        limits, draining = RateLimits(settings), Draining(self.database)
        return Services(settings, self.database, self.publisher, FixedKeys(()), limits, batcher, draining)

    def _migrate(self, *, using: str, **sent: Any) -> None:
        """Migrate our tables with Alembic, as for the service, after the site's own migrations.

        ``flush`` sends the same signal without a plan of migrations. It empties the tables of models, at the end of
        each ``TransactionTestCase`` too, so it must empty ours.
        """
        if using != self.site.alias:
            return
        if "plan" not in sent:
            self._flush()
            return
        schema = self.site.settings.database_schema
        with transaction.atomic(using=using), self.database.borrow() as connection:
            if schema:
                connection.exec_driver_sql(f"SET LOCAL search_path TO {schema}")
            migrate_on(connection, schema)
        # Alembic may have changed the connection's settings, so the next use opens a new one.
        if not connections[using].in_atomic_block:
            connections[using].close()

    def _flush(self) -> None:
        with self.database.transaction() as db:
            for table in Base.metadata.tables.values():
                if table.name != DatabaseNameRow.__tablename__:  # part of cursors, and constant while the tables exist
                    db.execute(delete(table))

    def _discard_configuration(self, **_: Any) -> None:
        """Read the settings again, because a test of the site overrides them."""
        for name in ("site", "database", "publisher", "services"):
            self.__dict__.pop(name, None)


def shirase() -> ShiraseConfig:
    """The application of the running site."""
    config: ShiraseConfig = apps.get_app_config(ShiraseConfig.label)
    return config
