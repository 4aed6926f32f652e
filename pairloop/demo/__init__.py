"""The demo that needs no network and no GPU: bundled prompts and a bundled micro model.

topics.toml       what the model knows: sixty everyday topics, hand-written sentences
topics.py         reads it
style.py          how answers differ: courteous or blunt, brief or rambling, on topic or wandering
instructions.py   topics and styles in, training conversations and prompts.jsonl out
build_model.py    conversations in, the SFT chat model in model/ out
"""
