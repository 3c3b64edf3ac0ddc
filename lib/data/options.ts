/** Checks of options that all parts of this room share. */
import { ConfigError, didYouMean } from "../errors.js";

/**
 * Refuses option names that do not exist.
 * @throws ConfigError naming the option, with the name that was probably meant.
 */
export function checkOptions(where: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new ConfigError(
        `${where} has no option "${name}".${didYouMean(name, known)} Its options are ${known.join(", ")}.`,
        { option: name, known },
      );
    }
  }
}

/**
 * Checks that an option is an integer in a range.
 * @throws ConfigError naming the option, the range and the value.
 */
export function checkInteger(
  name: string,
  value: unknown,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `from ${least} to ${most}`;
    throw new ConfigError(`${name} must be an integer ${range}, got ${String(value)}.`, { [name]: value });
  }
  return value as number;
}
