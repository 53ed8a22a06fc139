"""The types of settings: what each accepts, and what the message says otherwise.

`settings` gives each setting its type.
"""

from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError


def must_be(what: str) -> WrapValidator:
    """Whatever is wrong with a value, the message says that it must be `what`."""

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValueError:  # pydantic's own errors, too
            raise PydanticCustomError("must_be", what) from None

    return WrapValidator(check)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, OSError) as error:  # an unknown name, or a folder of zones
        raise ValueError from error
    return name


Switch = Annotated[bool, must_be("true or false")]
CountFrom0 = Annotated[int, Field(ge=0), must_be("a whole number of at least 0")]
CountFrom1 = Annotated[int, Field(ge=1), must_be("a whole number of at least 1")]
AmountFrom0 = Annotated[float, Field(ge=0), must_be("a number of at least 0")]
AmountFrom1 = Annotated[float, Field(ge=1), must_be("a number of at least 1")]
Share = Annotated[float, Field(ge=0, le=1), must_be("a number from 0 to 1")]
Text = Annotated[str, must_be("text")]
Zone = Annotated[
    str, AfterValidator(_known_zone), must_be('the name of a time zone, such as "Europe/Berlin"')
]
Params = Annotated[dict[str, Any], must_be("a table")]
# The next two follow Dagster's rules for asset groups and owners.
Name = Annotated[
    str, Field(pattern="^[A-Za-z0-9_]+$"), must_be("a name of letters, digits and underscores")
]
Owner = Annotated[
    str,
    Field(pattern=r"^(team:\S.*|[A-Za-z0-9_][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$"),
]
Owners = Annotated[
    list[Owner],
    must_be('a list of e-mail addresses and teams, such as ["ann@example.com", "team:on-call"]'),
]


class Section(BaseModel):
    """A table of settings: strict about types and names. Null means "not set"."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}
