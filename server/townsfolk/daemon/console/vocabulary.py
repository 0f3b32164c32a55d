"""All commands by name."""

from __future__ import annotations

from townsfolk.daemon.console.adapters import LOAD, RELOAD, UNLOAD
from townsfolk.daemon.console.cancel import CANCEL
from townsfolk.daemon.console.command import Command
from townsfolk.daemon.console.help import help_command
from townsfolk.daemon.console.replay import REPLAY
from townsfolk.daemon.console.say import SAY
from townsfolk.daemon.console.settings import SET
from townsfolk.daemon.console.stats import STATS
from townsfolk.daemon.console.trace import TRACE

VOCABULARY: dict[str, Command] = {
    command.name: command for command in (SAY, CANCEL, LOAD, UNLOAD, RELOAD, STATS, TRACE, REPLAY, SET)
}
VOCABULARY["npc.help"] = help_command(VOCABULARY)
