"""Conversations: who takes part, and what was said.

Decisions:

- Each persona sees its own exchanges only. What one character was told, another has not heard.
- One turn at a time per session *and persona*: a second line asked of a speaking persona waits until the first has
  ended, so that its prompt holds the first. Different personas of one session speak side by side, in one batch.
- A turn that was cut off (cancelled, failed, out of time) is remembered with the words that were handed out, marked
  ``complete=False``; the player has heard them. One that said nothing is not remembered at all.
- A game may tell that less was heard (``ReportHeard``); then no more than that is remembered. A turn of which nothing
  was heard keeps its place in the history with an empty reply, because a later report may give it its words back; no
  prompt, save or copy of the session holds it.
- History is bounded. When it is full, its oldest quarter goes at once: dropping one exchange a turn would change the
  beginning of every prompt, and with it defeat the engine's prefix cache.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from townsfolk.dialogue.prompt import Exchange
from townsfolk.errors import AlreadyExists, InvalidArgument, NotFound, ResourceExhausted

ID_PATTERN = re.compile(r"[A-Za-z0-9._:-]{1,128}")  # of sessions and turns
MAX_PERSONAS = 32
MAX_PLAYER_NAME_CHARACTERS = 64
MAX_METADATA_ENTRIES = 32
MAX_METADATA_KEY_CHARACTERS = 64
MAX_METADATA_VALUE_CHARACTERS = 1024
FALLBACK_MARK_BYTES = 8


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A turn that is remembered. ``complete`` is false if it was cut off."""

    turn_id: str
    persona_id: str
    exchange: Exchange
    complete: bool = True

    def as_heard(self, characters: int) -> PastTurn:
        """The same turn, of whose reply only so many characters (code points) were heard."""
        if characters >= len(self.exchange.reply):
            return self
        heard = self.exchange.reply[:characters].rstrip()
        return replace(self, exchange=replace(self.exchange, reply=heard, reply_ids=()), complete=False)


@dataclass(slots=True, eq=False)
class Session:
    """One conversation. ``max_exchanges`` bounds the history of all its personas together.

    ``last_fallback`` marks for each persona the fallback line that it spoke last. ``unchecked`` is set while the
    history's tokens come from a save and have not been compared with its words.
    """

    id: str
    persona_ids: tuple[str, ...]
    player_name: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    max_exchanges: int = 64
    history: list[PastTurn] = field(default_factory=list)
    last_fallback: dict[str, bytes] = field(default_factory=dict)
    unchecked: bool = False
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def turn_lock(self, persona_id: str) -> asyncio.Lock:
        """What a turn of this persona holds while it runs. First come, first served."""
        return self._locks.setdefault(persona_id, asyncio.Lock())

    def exchanges_of(self, persona_id: str) -> list[Exchange]:
        """What this persona remembers, oldest first."""
        return [past.exchange for past in self.heard_turns() if past.persona_id == persona_id]

    def heard_turns(self) -> list[PastTurn]:
        """The history without turns of which nothing was heard, oldest first."""
        return [past for past in self.history if past.exchange.reply]

    def remember(self, past: PastTurn) -> None:
        """Add a turn to the history, dropping the oldest quarter where it is full."""
        if self.max_exchanges == 0:
            return
        if len(self.history) >= self.max_exchanges:
            del self.history[: max(1, self.max_exchanges // 4)]
        self.history.append(past)

    def revise(self, past: PastTurn) -> bool:
        """Remember a turn differently from now on. Returns false if the history does not hold it (any more)."""
        for at in reversed(range(len(self.history))):  # an id may have been used before, long ago
            if self.history[at].turn_id == past.turn_id:
                self.history[at] = past
                return True
        return False

    def forget_tokens_of(self, turn_ids: Iterable[str]) -> None:
        """Remember these turns by their words alone."""
        doubted = set(turn_ids)
        self.history = [
            replace(past, exchange=replace(past.exchange, reply_ids=())) if past.turn_id in doubted else past
            for past in self.history
        ]

    def speaker(self, persona_id: str) -> str:
        """The persona that is to speak: the one named, or the only one. Raises ``InvalidArgument``."""
        if not persona_id:
            if len(self.persona_ids) == 1:
                return self.persona_ids[0]
            raise InvalidArgument(
                f"session {self.id} has {len(self.persona_ids)} personas; say which one is to speak", field="persona_id"
            )
        if persona_id not in self.persona_ids:
            raise InvalidArgument(
                f"{persona_id[:64]!r} takes no part in session {self.id}; "
                f"its personas are {', '.join(self.persona_ids)}",
                field="persona_id",
            )
        return persona_id


class SessionStore:
    """All open sessions, in memory only.

    Args:
        max_sessions: how many may be open.
        max_exchanges: how many exchanges each remembers.
    """

    def __init__(self, max_sessions: int, max_exchanges: int) -> None:
        self._max_sessions = max_sessions
        self._max_exchanges = max_exchanges
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._sessions

    def check_new(
        self, session_id: str, persona_ids: Sequence[str], player_name: str, metadata: Mapping[str, str]
    ) -> None:
        """Raise what would keep such a session from being opened.

        That is ``InvalidArgument``, ``AlreadyExists`` or ``ResourceExhausted``.
        """
        if session_id:
            check_id(session_id, "session_id")
            if session_id in self._sessions:
                raise AlreadyExists(f"session {session_id} is open already; choose another id", field="session_id")
        check_session(persona_ids, player_name, metadata)
        if len(self._sessions) >= self._max_sessions:
            raise ResourceExhausted(
                f"{self._max_sessions} sessions are open, the most this daemon holds; close some, "
                "or raise daemon.max_sessions"
            )

    def open(
        self,
        persona_ids: Sequence[str],
        *,
        session_id: str = "",
        player_name: str = "",
        metadata: Mapping[str, str] | None = None,
        history: Sequence[PastTurn] = (),
        last_fallback: Mapping[str, bytes] | None = None,
        unchecked: bool = False,
    ) -> Session:
        """Open a session; without an id it gets one nobody can guess. Raises what ``check_new`` raises.

        Of a ``history`` longer than sessions here may remember, the newest part is taken.
        """
        self.check_new(session_id, persona_ids, player_name, metadata or {})
        session = Session(
            id=session_id or secrets.token_hex(16),
            persona_ids=tuple(persona_ids),
            player_name=player_name.strip(),
            metadata=dict(metadata or {}),
            max_exchanges=self._max_exchanges,
            history=list(history[-self._max_exchanges :]) if self._max_exchanges else [],
            last_fallback=dict(last_fallback or {}),
            unchecked=unchecked,
        )
        self._sessions[session.id] = session
        return session

    def get(self, session_id: str) -> Session:
        """An open session. Raises ``NotFound``."""
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFound(
                f"no session {session_id[:128]!r} is open; open one first, or leave the id empty for a one-off line",
                field="session_id",
            )
        return session

    def close(self, session_id: str) -> Session:
        """Forget a session and return it. Raises ``NotFound``."""
        session = self.get(session_id)
        del self._sessions[session.id]
        return session


def check_session(persona_ids: Sequence[str], player_name: str, metadata: Mapping[str, str]) -> None:
    """Raise ``InvalidArgument`` unless there can be such a session."""
    if not 1 <= len(persona_ids) <= MAX_PERSONAS:
        raise InvalidArgument(
            f"a session has 1 to {MAX_PERSONAS} personas, not {len(persona_ids)}", field="persona_ids"
        )
    if len(set(persona_ids)) != len(persona_ids):
        raise InvalidArgument("a persona is named twice", field="persona_ids")
    _check_player_name(player_name)
    _check_metadata(metadata)


def check_id(value: str, field_name: str) -> None:
    """Raise ``InvalidArgument`` unless ``value`` can be the id of a session or turn."""
    if not ID_PATTERN.fullmatch(value):
        raise InvalidArgument(
            f"{field_name} must be 1 to 128 characters of A-Z a-z 0-9 . _ : -, not {value[:64]!r}", field=field_name
        )


def _check_player_name(name: str) -> None:
    # it becomes part of the system prompt, so it stays short and on one line
    if len(name) > MAX_PLAYER_NAME_CHARACTERS:
        raise InvalidArgument(
            f"player_name has {len(name)} characters; {MAX_PLAYER_NAME_CHARACTERS} are allowed", field="player_name"
        )
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
        raise InvalidArgument("player_name holds line breaks or control characters", field="player_name")


def _check_metadata(metadata: Mapping[str, str]) -> None:
    if len(metadata) > MAX_METADATA_ENTRIES:
        raise InvalidArgument(
            f"metadata has {len(metadata)} entries; {MAX_METADATA_ENTRIES} are allowed", field="metadata"
        )
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY_CHARACTERS or len(value) > MAX_METADATA_VALUE_CHARACTERS:
            raise InvalidArgument(
                f"the metadata entry {key[:64]!r} is too long; keys have at most {MAX_METADATA_KEY_CHARACTERS} "
                f"and values {MAX_METADATA_VALUE_CHARACTERS} characters",
                field="metadata",
            )
