/** The header of a safetensors file, with the eight bytes of its length: a FormatError, or a header whose tensors fill the data. */
export const files = ["io/safetensors-header.js", "io/json.js", "io/arrays.js"];

export async function prepare(load) {
  const { parseHeader, parseHeaderLength } = await load("io/safetensors-header.js");
  const { FormatError } = await load("errors.js");
  return (input) => {
    try {
      const length = parseHeaderLength(input.subarray(0, 8), input.length, "fuzz.safetensors");
      const dataBytes = input.length - 8 - length;
      const header = parseHeader(input.subarray(8, 8 + length), dataBytes, "fuzz.safetensors");
      let bytes = 0;
      for (const { begin, end } of header.tensors.values()) bytes += end - begin;
      if (bytes !== dataBytes) throw new Error(`The tensors have ${bytes} bytes of ${dataBytes}.`);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  };
}
