import { Flags } from "@oclif/core";
import { COLOR_MODES, type ColorMode, chooseColor } from "./output.ts";

/** Every command takes it. What it says holds for the whole run, since tables are made in many places. */
export const COLOR_FLAG = {
  color: Flags.string({
    options: [...COLOR_MODES],
    default: "auto",
    helpGroup: "OUTPUT",
    summary: "Whether tables are coloured. auto: on a terminal, unless NO_COLOR is set or TERM is dumb.",
    parse: async (text) => {
      chooseColor(text as ColorMode);
      return text;
    },
  }),
};
