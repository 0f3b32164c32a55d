"""``npc.say``: one line from one persona."""

from __future__ import annotations

from townsfolk.daemon.console import suggestions
from townsfolk.daemon.console.call import Call
from townsfolk.daemon.console.command import Command, Option, Parameter
from townsfolk.daemon.console.kinds import NUMBER, SECONDS, SESSION, TEXT, WHOLE, one_of
from townsfolk.daemon.console.speech import speak
from townsfolk.dialogue.request import SamplingOverrides, TurnRequest

PRIORITIES = {"background": -1, "normal": 0, "urgent": 1}
SAMPLING = (
    Option("seed", "the same seed gives the same line", WHOLE, "sampling.seed"),
    Option("temperature", "0 to 4; 0 takes the likeliest word", NUMBER, "sampling.temperature"),
    Option("top-p", "above 0 up to 1: the likeliest tokens that reach it together", NUMBER, "sampling.top_p"),
    Option("top-k", "only so many of the likeliest tokens; 0: all", WHOLE, "sampling.top_k"),
    Option("min-p", "from 0 to below 1: drops what is less likely than that share", NUMBER, "sampling.min_p"),
    Option(
        "repetition-penalty", "0.5 to 4; above 1 avoids words that were said", NUMBER, "sampling.repetition_penalty"
    ),
    Option("max-tokens", "longest line in tokens, 1 to 2048", WHOLE, "sampling.max_tokens"),
)
STOP = Option("stop", "text that ends the line; may be given again", TEXT, "sampling.stop", repeatable=True)


async def say(call: Call) -> None:
    """Ask for a line in the session in use, or for a one-off line."""
    given = {option.name.replace("-", "_"): call.arguments.get(option.name) for option in SAMPLING}
    request = TurnRequest(
        persona_id=call.arguments["persona"],
        text=call.arguments.get("line", ""),
        situation=call.arguments.get("situation", ""),
        session_id=call.session_in_use,
        sampling=SamplingOverrides(**given, stop=call.arguments.get("stop", ())),
        priority=PRIORITIES[call.arguments.get("priority", "normal")],
        deadline_s=call.arguments.get("deadline", 0.0),
    )
    await speak(call, request)


SAY = Command(
    name="npc.say",
    summary="ask a persona for a line",
    run=say,
    parameters=(
        Parameter("persona", "who is to speak", "persona_id", source=suggestions.personas),
        Parameter("line", "what you say to it; may be left out with --situation", "text", required=False, rest=True),
    ),
    options=(
        Option("session", "go on in this open session", SESSION, "session_id", source=suggestions.sessions),
        Option("situation", "what is going on, told to the persona but spoken by nobody", TEXT, "situation"),
        *SAMPLING,
        STOP,
        Option(
            "priority",
            "who goes first where lines wait",
            one_of(*PRIORITIES),
            source=suggestions.choices(
                background="chatter nobody waits for", normal="the default", urgent="before all others"
            ),
        ),
        Option("deadline", "how long the line may take, up to 600", SECONDS, "deadline_s"),
    ),
    example='npc.say dwarf_smith "Do you sell rope?" --seed 7',
)
