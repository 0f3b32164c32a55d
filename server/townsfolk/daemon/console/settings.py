"""``npc.set``: the settings that can be changed while the daemon runs."""

from __future__ import annotations

import difflib

from townsfolk.daemon.console import suggestions
from townsfolk.daemon.console.call import Call
from townsfolk.daemon.console.command import Command, Parameter, shown
from townsfolk.daemon.console.table import Column
from townsfolk.daemon.live_settings import LiveSetting
from townsfolk.errors import NotFound

NOT_KEPT = "until the daemon stops; townsfolk.toml is not touched"


async def set_(call: Call) -> None:
    """List all settings, read one, or change one."""
    name, value = call.arguments.get("name"), call.arguments.get("value")
    if name is None:
        await _list(call)
        return
    setting = _named(call.town.settings, name)
    if value is None:
        await call.output.plain(f"{setting.name} = {setting.value}")
        await call.output.detail(f"{setting.help}; {setting.range}; default {setting.default}")
        return
    before = setting.value
    setting.change(value)
    await call.output.plain(f"{setting.name} = {setting.value} (was {before})")
    await call.output.detail(NOT_KEPT)


async def _list(call: Call) -> None:
    columns = (Column("setting"), Column("value", right=True), Column("default", right=True),
               Column("what it is", elastic=True))  # fmt: skip
    await call.output.table(columns, [(s.name, s.value, s.default, s.help) for s in call.town.settings])
    await call.output.detail(f"npc.set <name> <value> changes one {NOT_KEPT}")


def _named(settings: tuple[LiveSetting, ...], name: str) -> LiveSetting:
    for setting in settings:
        if setting.name == name:
            return setting
    close = difflib.get_close_matches(name[:80], [setting.name for setting in settings], n=1, cutoff=0.4)
    hint = f"did you mean {close[0]}?" if close else "npc.set lists those there are"
    raise NotFound(f"there is no setting {shown(name)}; {hint}", field="name")


SET = Command(
    name="npc.set",
    summary="list, read or change the settings of the running daemon",
    run=set_,
    parameters=(
        Parameter("name", "of the setting, as in townsfolk.toml", required=False, source=suggestions.settings),
        Parameter("value", "what it shall be", required=False, source=suggestions.setting_values),
    ),
    example="npc.set daemon.max_sessions 500",
)
