"""Conversations as the makers of the models write them: the chat templates they publish, rendered by transformers."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from tests.dialogue.tiny_tokenizers import KINDS
from townsfolk.dialogue.template import (
    ChatMl,
    Control,
    Ids,
    Llama2,
    Llama3,
    Message,
    Mistral,
    Text,
    encode,
    template_for,
)
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.errors import InvalidArgument

# As published, less the checks that roles alternate.
CHATML = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_V1 = (
    "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
    "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}"
    "{{- bos_token }}{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
    "{%- if loop.first and system_message is defined %}"
    "{{- ' [INST] ' + system_message + '\n\n' + message['content'] + ' [/INST]' }}{%- else %}"
    "{{- ' [INST] ' + message['content'] + ' [/INST]' }}{%- endif %}{%- elif message['role'] == 'assistant' %}"
    "{{- ' ' + message['content'] + eos_token}}{%- endif %}{%- endfor %}"
)
MISTRAL_V3 = (  # of the long template, what concerns conversations without tools
    "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
    "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}"
    "{{- bos_token }}{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
    "{%- if loop.last and system_message is defined %}"
    "{{- '[INST] ' + system_message + '\n\n' + message['content'] + '[/INST]' }}{%- else %}"
    "{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}{%- elif message['role'] == 'assistant' %}"
    "{{- ' ' + message['content']|trim + eos_token}}{%- endif %}{%- endfor %}"
)
TEKKEN = MISTRAL_V3.replace("'[INST] '", "'[INST]'").replace("{{- ' ' + message", "{{- message")
PUBLISHED = {
    "chatml": (CHATML, "<|endoftext|>", "<|im_end|>"),
    "llama3": (LLAMA3, "<|begin_of_text|>", "<|eot_id|>"),
    "llama2": (LLAMA2, "<s>", "</s>"),
    "mistral_v1": (MISTRAL_V1, "<s>", "</s>"),
    "mistral_v3": (MISTRAL_V3, "<s>", "</s>"),
    "tekken": (TEKKEN, "<s>", "</s>"),
}
MOVE_THE_SYSTEM_MESSAGE = ("mistral_v3", "tekken")  # to the last message of the user, where ours does not
SYSTEM = ("system", "You are Bron, the guard of the old gate.\n\nYou speak in short sentences.")
TURNS = (
    ("user", "(It rains.) Who goes there?"),
    ("assistant", "I am the guard; thank you for asking! 🛡️"),
    ("user", "What is the price of bread?\nAnd of 12 fish?"),
    ("assistant", "Three coins, my friend…"),
    ("user", "日本語 and Käse"),
)
CONVERSATIONS = {
    "one line": TURNS[:1],
    "system": (SYSTEM, *TURNS[:1]),
    "history": TURNS,
    "system and history": (SYSTEM, *TURNS),
}


def published(kind: str, conversation: tuple[tuple[str, str], ...]) -> list[int]:
    """Token ids by transformers, from the makers' template and the library's own tokenizer."""
    source, bos, eos = PUBLISHED[kind]
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=KINDS[kind][0](), bos_token=bos, eos_token=eos)
    messages = [{"role": role, "content": content} for role, content in conversation]
    return list(
        tokenizer.apply_chat_template(messages, chat_template=source, add_generation_prompt=True, return_dict=False)
    )


def messages_of(conversation: tuple[tuple[str, str], ...]) -> list[Message]:
    return [Message(role, Text(content)) for role, content in conversation]


def tokenizer_of(kind: str) -> TextTokenizer:
    return TextTokenizer(KINDS[kind][0]().to_str())


@pytest.mark.parametrize(
    ("kind", "conversation"),
    [
        (kind, conversation)
        for kind in PUBLISHED
        for conversation in CONVERSATIONS
        if conversation != "system and history" or kind not in MOVE_THE_SYSTEM_MESSAGE
    ],
)
def test_a_conversation_has_the_tokens_of_the_published_template(kind: str, conversation: str) -> None:
    turns = CONVERSATIONS[conversation]
    tokenizer = tokenizer_of(kind)
    template = template_for(KINDS[kind][1], tokenizer)
    assert encode(template.render(messages_of(turns)), tokenizer) == published(kind, turns)


@pytest.mark.parametrize("kind", MOVE_THE_SYSTEM_MESSAGE)
def test_newer_mistral_models_keep_the_system_message_at_the_beginning(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    template = template_for("mistral", tokenizer)
    ours = encode(template.render(messages_of((SYSTEM, *TURNS))), tokenizer)
    moved = (("user", f"{SYSTEM[1]}\n\n{TURNS[0][1]}"), *TURNS[1:])
    assert ours == published(kind, moved)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_reply_as_it_was_spoken_continues_the_prompt_it_was_spoken_to(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    template = template_for(KINDS[kind][1], tokenizer)
    first = messages_of((SYSTEM, TURNS[0]))
    prompt = encode(template.render(first), tokenizer)
    reply = tuple(tokenizer.encode(" Me, an odd")[::-1])  # tokens as no encoder would choose them
    later = [*first, Message("assistant", Ids(reply)), Message("user", Text("And you?"))]
    spoken = [*prompt, *reply, tokenizer.control_id(template.stop_tokens[0])]
    assert encode(template.render(later), tokenizer)[: len(spoken)] == spoken


def test_qwen3_is_told_that_its_thinking_is_over() -> None:
    tokenizer = KINDS["chatml"][0]()
    tokenizer.add_tokens(["<think>", "</think>"])
    text = TextTokenizer(tokenizer.to_str())
    template = template_for("qwen3", text)
    ids = encode(template.render([Message("user", Text("Good day"))]), text)
    expected = "<|im_start|>user\nGood day<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert ids == tokenizer.encode(expected, add_special_tokens=False).ids
    assert template_for("qwen2", text).render([]) == [Control("<|im_start|>"), Text("assistant\n")]


def test_the_template_is_told_by_the_family_and_by_the_tokenizers_control_tokens() -> None:
    kinds = {kind: type(template_for(KINDS[kind][1], tokenizer_of(kind))) for kind in KINDS}
    assert kinds == {
        "chatml": ChatMl,
        "llama3": Llama3,
        "llama2": Llama2,
        "mistral_v1": Mistral,
        "mistral_v3": Mistral,
        "tekken": Mistral,
    }
    assert isinstance(template_for("llama", tokenizer_of("mistral_v3")), Mistral)


def test_a_model_without_a_chat_template_we_know_is_refused() -> None:
    tokenizer = KINDS["chatml"][0]()
    description = tokenizer.to_str().replace("<|im_start|>", "<|begin|>")
    with pytest.raises(InvalidArgument, match=r"fits no chat template known here .* use an instruct model"):
        template_for("qwen2", TextTokenizer(description))


def test_texts_side_by_side_are_encoded_as_one() -> None:
    tokenizer = tokenizer_of("llama2")
    together = encode([Text(" "), Text("the gate")], tokenizer)
    assert together == tokenizer.encode(" the gate") != tokenizer.encode(" ") + tokenizer.encode("the gate")
    apart = encode([Text(" "), Control("</s>"), Text("the gate")], tokenizer)
    assert apart == [*tokenizer.encode(" "), 2, *tokenizer.encode("the gate")]
    assert encode([], tokenizer) == []


def test_a_template_that_asks_for_a_token_the_model_lacks_says_so() -> None:
    with pytest.raises(InvalidArgument, match=r"has no token <\|eot_id\|>"):
        encode([Control("<|eot_id|>")], tokenizer_of("llama2"))


@pytest.mark.parametrize("kind", PUBLISHED)
def test_training_teaches_the_tokens_that_the_published_template_has_for_a_reply(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    template = template_for(KINDS[kind][1], tokenizer)
    question, answer = TURNS[:2]
    prompt = encode(template.render(messages_of((question,))), tokenizer)
    taught = [*tokenizer.encode(template.spoken(answer[1])), tokenizer.control_id(template.stop_tokens[0])]
    whole = published(kind, (question, answer, TURNS[2]))
    assert whole[: len(prompt) + len(taught)] == prompt + taught
