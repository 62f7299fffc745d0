"""Shared by the tables: types of columns, partial indexes, and the declared fields of a notification."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Dialect, Index, Integer, String, Text, TypeDecorator, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from shirase.fields import FIELDS, Content, Declared, rfc3339
from shirase.store.owned import Owned

# SQLite numbers rows by itself only in a column that is declared INTEGER.
BigId: TypeEngine[int] = BigInteger().with_variant(Integer, "sqlite")
# Byte order is all that an id needs, and it is much cheaper than a language's.
UserId: TypeEngine[str] = String(255).with_variant(String(255, collation="C"), "postgresql")
TAG_LENGTH = 6
Tag: TypeEngine[str] = String(TAG_LENGTH)  # random bits of an event, as hexadecimal digits


class Moment(TypeDecorator[datetime]):
    """A point in time, always aware and in UTC: ``timestamptz`` in PostgreSQL, RFC 3339 text in SQLite."""

    impl = TIMESTAMP
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type."""
        return dialect.type_descriptor(String(27) if dialect.name == "sqlite" else TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Python to database."""
        return rfc3339(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy calls it so
        """Database to Python."""
        return datetime.fromisoformat(value) if isinstance(value, str) else value


LONGEST_STRING = 2000  # characters; what may be longer is TEXT


def column_type(field: Declared) -> TypeEngine[Any]:
    """The type of a declared field's column. JSON is text: it is passed on, never queried."""
    if field.kind == "time":
        return Moment()
    return String(field.length) if field.length and field.length <= LONGEST_STRING else Text()


def content_of(row: Any) -> Content:
    """The declared fields of a row that has them all among its columns."""
    columns = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return Content({name: columns[name] for name in FIELDS})


class Base(DeclarativeBase):
    """The base of all tables. Each declares ``owned``, from which the erasure and the export of a user follow."""

    owned: ClassVar[Owned]


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of the rows that satisfy a condition."""
    return Index(name, *columns, unique=unique, postgresql_where=text(where), sqlite_where=text(where))
