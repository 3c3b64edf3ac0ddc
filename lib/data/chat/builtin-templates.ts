/**
 * Chat templates for tokenizers that come without one. Each writes the turns in a published form and marks what the
 * assistant writes, end-of-turn token included, because a model must learn to stop.
 */

/** What a tokenizer needs for one of anneal's templates. */
export interface BuiltinTemplate {
  /** The Jinja source. */
  source: string;
  /** Special tokens that its turns use; a new tokenizer is trained with them. */
  specialTokens: readonly string[];
  /** Token that begins a text, if the form has one. */
  bosToken?: string;
  /** Token that ends the assistant's turn. */
  eosToken: string;
}

/** OpenAI's ChatML, as Qwen and many others use it; tools and their answers as Qwen 2.5 writes them. */
const CHATML = `{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- 'You may call these functions; their signatures are JSON schemas:\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' + (tool | tojson) }}
    {%- endfor %}
    {{- '\\n</tools>\\nCall one by a JSON object with name and arguments between <tool_call> and </tool_call>.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- generation %}
            {%- if message.content %}
                {{- message.content }}
            {%- endif %}
            {%- for call in message.tool_calls or [] %}
                {%- if not loop.first or message.content %}
                    {{- '\\n' }}
                {%- endif %}
                {{- '<tool_call>\\n' + ({'name': call.function.name, 'arguments': call.function.arguments} | tojson) + '\\n</tool_call>' }}
            {%- endfor %}
            {{- '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- elif not (tools and loop.first and message.role == 'system') %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
`;

/** The turns of DeepSeek-V3: the system text first, then user and assistant marks without line ends. */
const DEEPSEEK_V3 = `{{- bos_token }}
{%- for message in messages if message.role == 'system' %}
    {{- message.content }}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<｜User｜>' + message.content }}
    {%- elif message.role == 'assistant' %}
        {{- '<｜Assistant｜>' }}
        {%- generation %}
            {{- message.content + eos_token }}
        {%- endgeneration %}
    {%- elif message.role != 'system' %}
        {{- raise_exception('This template has no messages of the role ' + message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<｜Assistant｜>' }}
{%- endif %}
`;

/** The turns of Llama 3. */
const LLAMA_3 = `{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}
            {{- (message.content | trim) + '<|eot_id|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- (message.content | trim) + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
`;

/** Templates by name. */
export const BUILTIN_TEMPLATES: Readonly<Record<"chatml" | "deepseek-v3" | "llama-3", BuiltinTemplate>> = {
  chatml: {
    source: CHATML,
    specialTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    eosToken: "<|im_end|>",
  },
  "deepseek-v3": {
    source: DEEPSEEK_V3,
    specialTokens: ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"],
    bosToken: "<｜begin▁of▁sentence｜>",
    eosToken: "<｜end▁of▁sentence｜>",
  },
  "llama-3": {
    source: LLAMA_3,
    specialTokens: [
      "<|begin_of_text|>",
      "<|end_of_text|>",
      "<|start_header_id|>",
      "<|end_header_id|>",
      "<|eot_id|>",
    ],
    bosToken: "<|begin_of_text|>",
    eosToken: "<|eot_id|>",
  },
};
