/** A JSON record as a conversation, a preference pair and a checkable prompt: something of the right form, or a DataError. */
export const files = [
  "data/chat/conversation.js",
  "data/chat/formats.js",
  "data/chat/preference.js",
  "data/chat/verifiable.js",
];

export async function prepare(load) {
  const { conversationOf } = await load("data/chat/formats.js");
  const { preferenceOf } = await load("data/chat/preference.js");
  const { verifiablePromptOf } = await load("data/chat/verifiable.js");
  const { DataError } = await load("errors.js");
  return (input) => {
    let record;
    try {
      record = JSON.parse(input.toString());
    } catch {
      return;
    }
    for (const convert of [conversationOf, preferenceOf, verifiablePromptOf]) {
      try {
        convert(record, "fuzz:1");
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
      }
    }
  };
}
