"""The handle of a clinic. It is cheap to create; all handles of one clinic share its token and the pool."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ._arguments import described, kinds
from ._calls.call import Call
from ._calls.clinics import ClinicState
from ._calls.engine import Engine, Options
from ._calls.request import Request
from ._frozen import total_repr
from ._http.response import HttpResponse, read_body
from ._http.urls import Params, request_url
from ._records.decoder import decoder_for
from ._tracebacks import hides_arguments
from ._validation import plain_text
from .config import Limits, RetryPolicy, Timeouts
from .credentials import ClinicCredentials
from .errors import ArzamedError, ConfigurationError, LimitExceededError
from .models import Doctor, Patient, Slot
from .resources import Endpoint, Resource, UnpublishedEndpointWarning

if TYPE_CHECKING:
    from ._http.templates import PathValue
    from .models import Response, Token

__all__ = ["Clinic", "clinic_of"]

T = TypeVar("T")


@functools.cache
def _doctors() -> Endpoint[Doctor]:
    return Endpoint("equipe/doctors", Doctor)


class Clinic:
    """A clinic and its endpoints. `ArzamedSession.clinic` returns one. It is cheap to create.

    Its calls raise SessionClosedError after the session is closed.

    Attributes:
        credentials: The clinic's credentials.
        name: The clinic's name in errors and events: the name in its credentials, or else the client id.
    """

    __slots__ = ("_doctors", "_engine", "_options", "_state", "credentials", "name")

    def __init__(self, engine: Engine, credentials: ClinicCredentials, options: Options | None = None) -> None:
        if not isinstance(credentials, ClinicCredentials):
            raise ConfigurationError(f"credentials must be a ClinicCredentials, not {described(credentials)}")
        self._engine = engine
        self._options = options or engine.options
        self._state = engine.clinics.make(credentials)
        self.credentials = credentials
        self.name: str = credentials.display_name
        self._doctors: Resource[Doctor] | None = None

    @total_repr
    def __repr__(self) -> str:
        return f"<Clinic {self.name}>"

    def _live(self) -> ClinicState:
        if self._state.forgotten:  # checked here as well, which saves a call
            self._state = self._engine.clinics.live(self._state)
        return self._state

    @property
    def doctors(self) -> Resource[Doctor]:
        """All active practitioners, in the clinic's own display order."""
        if self._doctors is None:
            self._doctors = Resource(self._engine, self._live(), self.name, _doctors(), self._options)
        return self._doctors

    @property
    def slots(self) -> Resource[Slot]:
        """Appointment slots. The vendor has not published path and fields: see `Endpoints` and `OpenRecord`."""
        path = self._engine.endpoints.slots
        return self._unpublished("slots", Endpoint(path or "equipe/slots", Slot), guessed=path is None)

    @property
    def patients(self) -> Resource[Patient]:
        """Patient records. The vendor has not published path and fields: see `Endpoints` and `OpenRecord`."""
        path = self._engine.endpoints.patients
        endpoint = Endpoint(path or "equipe/patients", Patient, personal=True)
        return self._unpublished("patients", endpoint, guessed=path is None)

    def resource(self, endpoint: Endpoint[T], **parameters: PathValue) -> Resource[T]:
        """Return the resource of any other endpoint. Its records become objects of the endpoint's attrs class.

            slots = clinic.resource(Endpoint("equipe/rooms/{room}/slots", RoomSlot), room="Sala 1")

        Args:
            endpoint: The endpoint: its path and the class of its records.
            **parameters: The values of the parameters in the path: text, whole numbers, UUIDs or dates. Each value
                becomes one segment of the path, percent-encoded.

        Raises:
            ConfigurationError: A value is missing, or the path has no such parameter. Or a text is empty, is `.` or
                `..`, has more than 1,024 characters, or contains a slash, a backslash or a control character (even
                percent-encoded).
        """
        try:
            return self._resource(endpoint, parameters)
        finally:
            endpoint, parameters = cast("Any", None), {}  # see hides_arguments

    def _unpublished(self, option: str, endpoint: Endpoint[T], *, guessed: bool) -> Resource[T]:
        if guessed:
            self._engine.observers.warn_once(
                f"the path {endpoint.path!r} is a guess: the vendor has not published it. If you know the right one,"
                f" pass it: ArzamedSession(endpoints=Endpoints({option}='...'))",
                UnpublishedEndpointWarning,
                stacklevel=3,  # the line that reads the property
            )
        return self._resource(endpoint, {}, guessed=guessed)

    @hides_arguments
    def _resource(
        self, endpoint: Endpoint[T], parameters: dict[str, PathValue], *, guessed: bool = False
    ) -> Resource[T]:
        kinds(endpoint=(endpoint, Endpoint))
        engine, url = self._engine, ""
        if parameters or "{" in endpoint.path:
            from ._http.templates import filled_url  # imported where the endpoint was made

            url = filled_url(engine.base_url, endpoint.path, parameters)
        decoder_for(endpoint.model)  # raises what the endpoint could not: a name in an annotation was not defined yet
        return Resource(engine, self._live(), self.name, endpoint, self._options, guessed=guessed, url=url)

    @hides_arguments
    def with_options(
        self, *, retry: RetryPolicy | None = None, timeouts: Timeouts | None = None, limits: Limits | None = None
    ) -> Clinic:
        """Return a handle of the same clinic with other policies. It shares the token and the pool.

        Args:
            retry: Which failed requests are retried. None: unchanged.
            timeouts: The time limits of a call. None: unchanged.
            limits: The maximum sizes of responses. None: unchanged.

        Raises:
            ConfigurationError: A policy is an object of the wrong class.
        """
        given = self._options
        options = Options(
            given.retry if retry is None else retry,
            given.timeouts if timeouts is None else timeouts,
            given.limits if limits is None else limits,
        )
        return Clinic(self._engine, self.credentials, options)

    async def token(self) -> Token:
        """Return the clinic's access token: the cached one if it is valid, else a new one.

        Raises TokenError, TransportError, SessionClosedError, ConfigurationError.
        """
        engine, state = self._engine, self._state
        if state.forgotten:  # checked here as well, which saves a call
            state = self._live()
        engine.lifetime.enter(self.name)
        try:
            cached = state.tokens.current() or await engine.tokens.wait(state.tokens, self.name, self._options.timeouts)
            return cached.token()
        except ArzamedError as error:
            engine.note_failure(state, error)
            raise

    async def get(self, path: str, params: Params | None = None, *, route: str | None = None) -> Response:
        """Send a GET request for any path below the base URL. The body may have up to `Limits.body_bytes`.

        Raises what `Resource.list` raises: StatusError for any status over 299.

        Args:
            path: The path, relative to the base URL. Errors and events do not show it, since it may contain identifiers.
            params: The query: a mapping or pairs. Values are text, numbers, bools, dates or lists of those.
            route: The text that errors and events show instead of the path, such as `patients/{id}`. None: `<raw>`.
        """
        try:
            shown, url = _shown_and_url(self._engine.base_url, path, params, route)
        finally:
            path, params, route = "", None, None  # no traceback may show them: they can identify a person
        from .models import Response

        request = Request(self._engine, self._options, self._live(), self.name, shown, url)
        del url
        limit = self._options.limits.body_bytes

        async def handle(response: HttpResponse) -> Response:
            body = await read_body(response, limit)
            if body is None:
                raise LimitExceededError(limit="body_bytes", limit_bytes=limit)
            received = response.compressed_bytes
            return Response(response.status, response.headers, body, self.name, request.path, received)

        return await Call(request).run(handle)


@hides_arguments
def _shown_and_url(base_url: str, path: str, params: Params | None, route: str | None) -> tuple[str, str]:
    """Return the text that errors and events show as the path, and the request's URL."""
    if route is not None:
        route = plain_text("route", route)
    return route or "<raw>", request_url(base_url, path, params)


def clinic_of(engine: Engine, drawn: Clinic | ClinicCredentials) -> Clinic:
    """Return the handle for one item of a fan-out's clinics. Raises ConfigurationError."""
    if isinstance(drawn, Clinic):
        return drawn
    if not isinstance(drawn, ClinicCredentials):
        raise ConfigurationError(f"clinics must be Clinic or ClinicCredentials, not {described(drawn)}")
    return Clinic(engine, drawn)
