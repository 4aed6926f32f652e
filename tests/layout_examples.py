"""Rows of the layouts `pairloop import` reads, by hand, in the form their publishers document."""

HH = {
    "chosen": "\n\nHuman: Is tea hot?\n\nAssistant: Often.\n\nHuman: Why?\n\nAssistant: Boiled water.",
    "rejected": "\n\nHuman: Is tea hot?\n\nAssistant: Often.\n\nHuman: Why?\n\nAssistant: Dunno.",
}
ULTRAFEEDBACK = {
    "source": "sharegpt",
    "instruction": "What is tea?",
    "models": ["alpaca-7b", "gpt-4", "llama-2-7b-chat", "bard"],
    "completions": [
        {
            "model": model,
            "principle": "helpfulness",
            "custom_system_prompt": "Be helpful.",
            "response": text,
            "annotations": {"helpfulness": {"Rating": "4", "Rationale": "Fine."}},
            "fine-grained_score": 4.0,
            "overall_score": 8.0,
            "critique": "Good.",
        }
        for model, text in [
            ("alpaca-7b", "A hot drink made by pouring water over leaves."),
            ("gpt-4", "Camellia sinensis, steeped."),
            ("llama-2-7b-chat", "The second most drunk beverage of the world!"),
            ("bard", "I can't say what that is, sorry."),
        ]
    ],
    "correct_answers": ["None"],
    "incorrect_answers": ["None"],
}
HELPSTEER2 = [
    {
        "prompt": "What is tea?",
        "response": text,
        "helpfulness": helpfulness,
        "correctness": 4,
        "coherence": 4,
        "complexity": 2,
        "verbosity": 1,
    }
    for text, helpfulness in (("A drink.", 2), ("A drink made of leaves.", 4))
]
HELPSTEER3 = {
    "domain": "general",
    "language": "english",
    "context": [{"role": "user", "content": "What is tea?"}],
    "response1": "A drink.",
    "response2": "A leaf.",
    "overall_preference": -2,
    "individual_preference": [
        {"score": -2, "reasoning": "Response 1 is right.", "feedback1": "ok", "feedback2": "no"},
        {"score": -1, "reasoning": "A bit better.", "feedback1": "ok", "feedback2": "no"},
    ],
}
SUMMARIZE = {
    "info": {
        "id": "t3_1",
        "post": "I made tea and it was cold.",
        "title": "Cold tea",
        "subreddit": "tea",
        "site": None,
        "article": None,
    },
    "summaries": [
        {"text": " Tea was cold.", "policy": "sup1", "note": "short"},
        {"text": " I like coffee.", "policy": "ref", "note": None},
    ],
    "choice": 0,
    "worker": "XYZ",
    "batch": "batch3",
    "split": "train",
    "extra": {"confidence": 7},
}
ARGILLA = {
    "id": "r1",
    "fields": {"prompt": "What is tea?", "response_1": "A drink.", "response_2": "A leaf."},
    "metadata": {},
    "suggestions": {"preference": {"value": "response_2", "score": 0.9, "agent": "gpt-4"}},
    "responses": {
        "preference": [
            {"value": "response_1", "user_id": "u1"},
            {"value": "response_2", "user_id": "u2"},
            {"value": "tie", "user_id": "u3"},
        ],
        "rationale": [{"value": "It is drunk.", "user_id": "u1"}],
    },
    "vectors": {},
    "_server_id": "x",
}
LABEL_STUDIO = {
    "id": 5,
    "data": {"prompt": "What is tea?", "answer1": "A drink.", "answer2": "A leaf."},
    "annotations": [
        {
            "id": 1,
            "completed_by": 7,
            "result": [
                {
                    "id": "x",
                    "type": "pairwise",
                    "from_name": "comparison",
                    "to_name": "answer1,answer2",
                    "value": {"selected": "left"},
                },
                {"type": "textarea", "value": {"text": ["Right."]}},
            ],
            "was_cancelled": False,
            "ground_truth": False,
            "created_at": "2023-05-01T10:00:00.000000Z",
            "lead_time": 31.2,
        },
        {
            "id": 2,
            "completed_by": {"id": 8, "email": "b@x.org"},
            "was_cancelled": False,
            "result": [
                {"type": "pairwise", "to_name": "answer1,answer2", "value": {"selected": "right"}}
            ],
        },
        {"id": 3, "completed_by": 9, "was_cancelled": True, "result": []},
        {"id": 4, "completed_by": 9, "was_cancelled": False, "result": []},
    ],
    "predictions": [],
}


def talk(*said: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]


ARENA = {
    "question_id": "q1",
    "model_a": "vicuna-13b",
    "model_b": "koala-13b",
    "winner": "model_b",
    "judge": "arena_user_3",
    "conversation_a": talk("What is tea?", "A leaf."),
    "conversation_b": talk("What is tea?", "A drink."),
    "turn": 1,
    "anony": True,
    "language": "English",
    "tstamp": 1682351591.1322,
}
LOG = {
    "tstamp": 1682351591.1,
    "type": "bothbad_vote",
    "models": ["", ""],
    "states": [
        {
            "template_name": "vicuna",
            "system_message": "",
            "messages": [
                ["USER", "example"],
                ["ASSISTANT", "example"],
                ["USER", "Tea?"],
                ["ASSISTANT", text],
            ],
            "offset": 2,
            "model_name": model,
        }
        for model, text in (("vicuna-13b", "No."), ("koala-13b", "Yes."))
    ],
    "ip": "1.2.3.4",
}
EXAMPLES = {
    "votes": [
        {
            "prompt": "What is tea?",
            "response_a": "A drink.",
            "response_b": "A leaf.",
            "annotator_id": "w1",
            "choice": "a",
        }
    ],
    "hh-rlhf": [HH],
    "ultrafeedback": [ULTRAFEEDBACK],
    "helpsteer2": HELPSTEER2,
    "helpsteer3": [HELPSTEER3],
    "summarize": [SUMMARIZE],
    "argilla": [ARGILLA],
    "labelstudio": [LABEL_STUDIO],
    "arena": [ARENA, LOG],
}
