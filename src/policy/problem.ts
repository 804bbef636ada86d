import type { Position } from "./model.ts";

/** Something wrong with a policy object. With an error there is no policy; with warnings alone there is. */
export interface Problem extends Position {
  readonly severity: "error" | "warning";
  /** The field, as the API server names it: `spec.ingress[0].from[1].ipBlock.cidr`; empty for the object itself. */
  readonly path: string;
  /** One line, lower case, without the place. */
  readonly message: string;
}
