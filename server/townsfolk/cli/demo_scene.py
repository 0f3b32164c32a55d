"""What the demo asks: one evening in Saltmere, seen by each of the shipped personas, in two rounds."""

from __future__ import annotations

from dataclasses import dataclass

TITLE = "A stranger knocks at the north gate of Saltmere, and the Duke's men are looking for them."


@dataclass(frozen=True)
class Part:
    """What one persona is asked. The second question follows on the first answer, whatever that was."""

    situation: str
    first: str
    second: str


ANYONE = Part(
    situation="dusk, a stranger at the gate",
    first="There is a stranger at the gate, and the Duke's men are looking for them. What do you do?",
    second="And if the Duke's men find out?",
)

PARTS: dict[str, Part] = {
    "old_knight": Part(
        situation="dusk, by the chapel of the Lamp",
        first="There is a stranger at the gate, and the Duke's men are looking for them. Will you let them in?",
        second="And if the Duke's men ask you where the stranger is?",
    ),
    "court_herald": Part(
        situation="at the market cross, a crowd",
        first="A stranger has come through the north gate. What does the Duke command?",
        second="And if nobody ever finds them?",
    ),
    "dock_smuggler": Part(
        situation="low voices by the mooring posts",
        first="There's a stranger who needs a boat before dawn. What would it cost?",
        second="And if the tallymen search your boat?",
    ),
    "dwarf_smith": Part(
        situation="dusk, shop closing",
        first="A stranger wants a blade tonight and has no silver. Do you sell?",
        second="And if the Duke's men come and ask what you saw?",
    ),
    "forest_elf": Part(
        situation="rain, by the willow hut",
        first="The Duke's men are asking for the stranger. What did you tell them?",
        second="Why do you help someone you have never met?",
    ),
    "alchemist_apprentice": Part(
        situation="at the shop counter",
        first="The stranger burned a hand on the gate lantern. What can you give them?",
        second="Are you sure? Your hands are shaking.",
    ),
    "whispering_villain": Part(
        situation="in the drowned halls, one candle",
        first="They say the stranger came up out of your halls. Who is it?",
        second="What do you want, to let them go?",
    ),
}


def part_of(persona_id: str) -> Part:
    """What that persona is asked; a general question for one we do not know."""
    return PARTS.get(persona_id, ANYONE)
