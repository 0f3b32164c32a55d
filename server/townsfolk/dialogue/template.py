"""Chat templates of the supported model families, as data.

A template found inside a model file is a program from a stranger and is never run; these are ours. A prompt is a
list of segments: ``Control`` names one control token, ``Text`` is encoded as ordinary text. So nothing that a player,
a writer or a save file contributes can become a control token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Control:
    token: str


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Ids:
    """Text that is already encoded: a reply exactly as the model spoke it, so that its KV cache is found again."""

    ids: tuple[int, ...]


Segment = Control | Text | Ids


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. ``role`` is system, user or assistant."""

    role: str
    content: Text | Ids


class ChatTemplate:
    """How one model family writes a conversation. ``stop_tokens`` end a reply."""

    name: str
    stop_tokens: tuple[str, ...]

    def render(self, messages: Iterable[Message]) -> list[Segment]:
        """Segments of the conversation, ending where the assistant is to speak."""
        raise NotImplementedError

    def spoken(self, reply: str) -> str:
        """A reply with the spaces that the format puts around it: the text that the model itself produces."""
        return reply


class ChatMl(ChatTemplate):
    """``<|im_start|>role\\ncontent<|im_end|>\\n`` (SmolLM2, Qwen2, Qwen3)."""

    name = "chatml"
    stop_tokens = ("<|im_end|>",)

    def __init__(self, *, closed_thinking: bool = False) -> None:
        self._closed_thinking = closed_thinking

    def render(self, messages: Iterable[Message]) -> list[Segment]:
        segments: list[Segment] = []
        for message in messages:
            segments += [Control("<|im_start|>"), Text(f"{message.role}\n"), message.content]
            segments += [Control("<|im_end|>"), Text("\n")]
        segments += [Control("<|im_start|>"), Text("assistant\n")]
        if self._closed_thinking:  # Qwen3 speaks at once when its thinking is already over
            segments += [Control("<think>"), Text("\n\n"), Control("</think>"), Text("\n\n")]
        return segments


class Llama3(ChatTemplate):
    """``<|start_header_id|>role<|end_header_id|>\\n\\ncontent<|eot_id|>`` (Llama 3)."""

    name = "llama3"
    stop_tokens = ("<|eot_id|>",)

    def render(self, messages: Iterable[Message]) -> list[Segment]:
        segments: list[Segment] = [Control("<|begin_of_text|>")]
        for message in messages:
            segments += [*self._header(message.role), message.content, Control("<|eot_id|>")]
        return segments + self._header("assistant")

    @staticmethod
    def _header(role: str) -> list[Segment]:
        return [Control("<|start_header_id|>"), Text(role), Control("<|end_header_id|>"), Text("\n\n")]


class Llama2(ChatTemplate):
    """``<s>[INST] user [/INST] reply </s>`` per exchange; the system message opens the first user message (Llama 2)."""

    name = "llama2"
    stop_tokens = ("</s>",)

    def render(self, messages: Iterable[Message]) -> list[Segment]:
        segments: list[Segment] = []
        system: list[Segment] = []
        for message in messages:
            if message.role == "system":
                system = [Text("<<SYS>>\n"), message.content, Text("\n<</SYS>>\n\n")]
            elif message.role == "user":
                segments += [Control("<s>"), Text(" [INST] "), *system, message.content, Text(" [/INST]")]
                system = []
            elif isinstance(message.content, Text):
                segments += [Text(self.spoken(message.content.text)), Control("</s>")]
            else:  # the spaces around a reply are among the tokens it was spoken with
                segments += [message.content, Control("</s>")]
        return segments

    def spoken(self, reply: str) -> str:
        return f" {reply} "


class Mistral(ChatTemplate):
    """``<s>[INST] user[/INST] reply</s>[INST] …`` (Mistral); the system message opens the first user message.

    The brackets are plain text in the first version of Mistral's format and control tokens in later ones, which put the
    system message before the last user message instead; there it would move with every turn, and no prompt would
    begin like the one before. The newest, byte-level tokenizers write no spaces.
    """

    name = "mistral"
    stop_tokens = ("</s>",)

    def __init__(self, *, control_brackets: bool, spaces: bool = True) -> None:
        self._space = " " if spaces else ""
        self._open: list[Segment] = [Control("[INST]"), Text(self._space)] if control_brackets else [Text(" [INST] ")]
        self._close: list[Segment] = [Control("[/INST]")] if control_brackets else [Text(" [/INST]")]

    def render(self, messages: Iterable[Message]) -> list[Segment]:
        segments: list[Segment] = [Control("<s>")]
        system: list[Segment] = []
        for message in messages:
            if message.role == "system":
                system = [message.content, Text("\n\n")]
            elif message.role == "user":
                segments += [*self._open, *system, message.content, *self._close]
                system = []
            elif isinstance(message.content, Text):
                segments += [Text(self.spoken(message.content.text)), Control("</s>")]
            else:  # the space before a reply is among the tokens it was spoken with
                segments += [message.content, Control("</s>")]
        return segments

    def spoken(self, reply: str) -> str:
        return f"{self._space}{reply}"


def template_for(family: str, tokenizer: TextTokenizer) -> ChatTemplate:
    """The template of a model, told by its family and by the control tokens its tokenizer has."""
    known = tokenizer.control_ids
    if "<|im_start|>" in known:
        return ChatMl(closed_thinking=family == "qwen3" and "</think>" in known)
    if "<|start_header_id|>" in known:
        return Llama3()
    if "</s>" in known and (family == "mistral" or "[INST]" in known):
        return Mistral(control_brackets="[INST]" in known, spaces=not tokenizer.byte_level)
    if "</s>" in known:
        return Llama2()
    raise InvalidArgument(
        "the model's tokenizer fits no chat template known here (ChatML, Llama 3, Llama 2 and Mistral); "
        "use an instruct model",
        field="model",
    )


def encode(segments: Iterable[Segment], tokenizer: TextTokenizer) -> list[int]:
    """Token ids of a rendered conversation. Texts side by side are one text: tokens may reach across their border."""
    ids: list[int] = []
    for is_text, group in groupby(segments, key=lambda segment: isinstance(segment, Text)):
        if is_text:
            ids += tokenizer.encode("".join(segment.text for segment in group if isinstance(segment, Text)))
            continue
        for segment in group:
            match segment:
                case Control(token):
                    ids.append(tokenizer.control_id(token))
                case Ids(done):
                    ids += done
    return ids
