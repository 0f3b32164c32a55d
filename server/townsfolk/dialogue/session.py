"""Conversations: who takes part, and what was said.

Decisions:

- Each persona sees its own exchanges only. What one character was told, another has not heard.
- One turn at a time per session *and persona*: a second line asked of a speaking persona waits until the first has
  ended, so that its prompt holds the first. Different personas of one session speak side by side, in one batch.
- A turn that was cut off (cancelled, failed, out of time) is remembered with the words that were handed out, marked
  ``complete=False``; the player has heard them. One that said nothing is not remembered at all.
- History is bounded. When it is full, its oldest quarter goes at once: dropping one exchange a turn would change the
  beginning of every prompt, and with it defeat the engine's prefix cache.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from townsfolk.dialogue.prompt import Exchange
from townsfolk.errors import InvalidArgument, NotFound, ResourceExhausted

ID_PATTERN = re.compile(r"[A-Za-z0-9._:-]{1,128}")  # of sessions and turns
MAX_PERSONAS = 32
MAX_PLAYER_NAME_CHARACTERS = 64
MAX_METADATA_ENTRIES = 32
MAX_METADATA_KEY_CHARACTERS = 64
MAX_METADATA_VALUE_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A turn that is remembered. ``complete`` is false if it was cut off."""

    turn_id: str
    persona_id: str
    exchange: Exchange
    complete: bool = True


@dataclass(slots=True, eq=False)
class Session:
    """One conversation. ``max_exchanges`` bounds the history of all its personas together."""

    id: str
    persona_ids: tuple[str, ...]
    player_name: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    max_exchanges: int = 64
    history: list[PastTurn] = field(default_factory=list)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def turn_lock(self, persona_id: str) -> asyncio.Lock:
        """What a turn of this persona holds while it runs. First come, first served."""
        return self._locks.setdefault(persona_id, asyncio.Lock())

    def exchanges_of(self, persona_id: str) -> list[Exchange]:
        """What this persona remembers, oldest first."""
        return [past.exchange for past in self.history if past.persona_id == persona_id]

    def remember(self, past: PastTurn) -> None:
        """Add a turn to the history, dropping the oldest quarter where it is full."""
        if self.max_exchanges == 0:
            return
        if len(self.history) >= self.max_exchanges:
            del self.history[: max(1, self.max_exchanges // 4)]
        self.history.append(past)

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
        self.max_sessions = max_sessions
        self._max_exchanges = max_exchanges
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """Open sessions, oldest first."""
        return iter(self._sessions.values())

    def check_new(
        self, session_id: str, persona_ids: Sequence[str], player_name: str, metadata: Mapping[str, str]
    ) -> None:
        """Raise what would keep such a session from being opened: ``InvalidArgument`` or ``ResourceExhausted``."""
        if session_id:
            check_id(session_id, "session_id")
            if session_id in self._sessions:
                raise InvalidArgument(f"session {session_id} is open already; choose another id", field="session_id")
        if not 1 <= len(persona_ids) <= MAX_PERSONAS:
            raise InvalidArgument(
                f"a session has 1 to {MAX_PERSONAS} personas, not {len(persona_ids)}", field="persona_ids"
            )
        if len(set(persona_ids)) != len(persona_ids):
            raise InvalidArgument("a persona is named twice", field="persona_ids")
        _check_player_name(player_name)
        _check_metadata(metadata)
        if len(self._sessions) >= self.max_sessions:
            raise ResourceExhausted(
                f"{self.max_sessions} sessions are open, the most this daemon holds; close some, "
                "or raise daemon.max_sessions"
            )

    def open(
        self,
        persona_ids: Sequence[str],
        *,
        session_id: str = "",
        player_name: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Session:
        """Open a session; without an id it gets one nobody can guess. Raises what ``check_new`` raises."""
        self.check_new(session_id, persona_ids, player_name, metadata or {})
        session = Session(
            id=session_id or secrets.token_hex(16),
            persona_ids=tuple(persona_ids),
            player_name=player_name.strip(),
            metadata=dict(metadata or {}),
            max_exchanges=self._max_exchanges,
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
