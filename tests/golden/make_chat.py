"""Golden values for tests/data/chat: what `transformers` makes of conversations and chat templates, and what TRL makes of preference pairs.

Needs: pip install transformers tokenizers trl, and `npm run build:ts` for anneal's own templates
Run:   python tests/golden/make_chat.py

Writes tests/golden/chat.json: for each template and conversation the text, the spans inside generation marks, the ids of
the tokenizer tests/golden/tokenizers/gpt2 and the mask of the assistant's tokens; or that the template refuses the conversation.
"""

import json
import pathlib
import subprocess

import transformers
import trl
from transformers.utils.chat_template_utils import render_jinja_template

HERE = pathlib.Path(__file__).parent

# Templates in the ways that published ones are written: white-space control, filters, loops, macros, refusals.
OWN = {
    "plain": "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}",
    "alternating": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] + '\\n\\n' %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set system = '' %}
    {%- set rest = messages %}
{%- endif %}
{%- for m in rest %}
    {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('user and assistant must take turns') }}
    {%- endif %}
    {%- if m.role == 'user' %}
        {{- '[INST] ' + (system if loop.first else '') + m.content | trim + ' [/INST]' }}
    {%- else %}
        {{- ' ' + m.content | trim + eos_token }}
    {%- endif %}
{%- endfor %}
""",
    "marked": """{% macro turn(name) %}<|{{ name }}|>{% endmacro %}
{% for message in messages %}
    {% if message.role == 'assistant' %}
{{ turn('assistant') }}
        {% generation %}
{{ message.content }}{{ eos_token }}
        {% endgeneration %}
    {% else %}
{{ turn(message.role) }}
{{ message.content | upper }}
    {% endif %}
{% endfor %}
{%- if tools %}{{ tools | tojson(indent=2) }}{% endif %}
""",
}

TOOLS = [{
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather of a town — now",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}, "days": {"type": "integer"}}},
    },
}]

CONVERSATIONS = {
    "one turn": {"messages": [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "It is 4."}]},
    "system, two turns": {"messages": [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "  Grüße, 世界! 👩‍👩‍👧  "},
        {"role": "assistant", "content": "Hallo.\n\nWas gibt es?"},
        {"role": "user", "content": "Nothing."},
        {"role": "assistant", "content": "Then good bye "},
    ]},
    "empty answer": {"messages": [{"role": "user", "content": "Say nothing."}, {"role": "assistant", "content": ""}]},
    "tools": {"tools": TOOLS, "messages": [
        {"role": "user", "content": "Weather in Åre?"},
        {"role": "assistant", "content": "I will look.", "tool_calls": [
            {"type": "function", "function": {"name": "weather", "arguments": {"town": "Åre", "days": 2}}}]},
        {"role": "tool", "content": "{\"sky\": \"clear\"}"},
        {"role": "assistant", "content": "It is clear."},
    ]},
    "question only": {"messages": [{"role": "user", "content": "And now?"}]},
    "two questions": {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
}

PAIRS = [
    {"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}],
     "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "bad"}]},
    {"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"},
                {"role": "assistant", "content": "good"}],
     "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"},
                  {"role": "assistant", "content": "bad"}]},
    {"chosen": "The sky is blue.", "rejected": "The sky is green."},
    {"chosen": "The sky is blue.", "rejected": "The sea is blue."},
]


def templates():
    script = (
        "import('./dist/data/chat/builtin-templates.js').then(({BUILTIN_TEMPLATES}) =>"
        "console.log(JSON.stringify(Object.fromEntries(Object.entries(BUILTIN_TEMPLATES).map(([n, t]) => [n, t.source])))))"
    )
    own = subprocess.run(["node", "-e", script], cwd=HERE.parent.parent, check=True, capture_output=True, text=True)
    return {**json.loads(own.stdout), **OWN}


def main():
    tokenizer = transformers.AutoTokenizer.from_pretrained(HERE / "tokenizers" / "gpt2")
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    rows = []
    for template_name, source in templates().items():
        for name, conversation in CONVERSATIONS.items():
            for prompt in (False, True):
                row = {"template": template_name, "conversation": name, "addGenerationPrompt": prompt}
                arguments = dict(conversations=[conversation["messages"]], tools=conversation.get("tools"),
                                 chat_template=source, add_generation_prompt=prompt, **special)
                try:
                    row["text"] = render_jinja_template(**arguments)[0][0]
                except Exception as error:  # noqa: BLE001: whatever it is, the template refuses
                    row["refused"] = str(error)
                    rows.append(row)
                    continue
                if "generation %}" in source.replace("-%}", "%}").replace("  ", " "):
                    _, spans = render_jinja_template(return_assistant_tokens_mask=True, **arguments)
                    row["spans"] = spans[0]
                    encoded = tokenizer.apply_chat_template(
                        conversation["messages"], tools=conversation.get("tools"), chat_template=source,
                        add_generation_prompt=prompt, return_dict=True, return_assistant_tokens_mask=True, **special)
                    row["ids"] = encoded["input_ids"]
                    row["mask"] = encoded["assistant_masks"]
                rows.append(row)
    golden = {
        "versions": {"transformers": transformers.__version__, "trl": trl.__version__},
        "command": "python tests/golden/make_chat.py",
        "special": special,
        "templates": templates(),
        "conversations": CONVERSATIONS,
        "rows": rows,
        "pairs": [{"record": pair, "expected": trl.extract_prompt(dict(pair))} for pair in PAIRS],
    }
    (HERE / "chat.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
    print(len(rows), "rows,", sum("refused" in row for row in rows), "refused")


if __name__ == "__main__":
    main()
