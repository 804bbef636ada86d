import { loadRegexEngine } from "../src/policy/regex.ts";

// What the command line does before it reads policies of other dialects.
await loadRegexEngine();
