import type { ApplyFlags } from "./apply.ts";
import { isTable, parseReports } from "./deliver.ts";
import { type DeliverGenerationFlags, deliverGeneration, GENERATION_REPORTS } from "./deliverGeneration.ts";
import { type GenerateFlags, generatePolicies } from "./generate.ts";
import { writePieces } from "./output.ts";

/** `gen networkpolicy` as a whole: generate, ask the server, write and show, apply. */
export async function runGenerate(flags: GenerateFlags & Omit<ApplyFlags, "dryRun">, delivery: DeliverGenerationFlags): Promise<void> {
  parseReports(delivery.report, GENERATION_REPORTS);
  const { context, ...result } = await generatePolicies(flags);
  const { dryRun } = flags;
  if (dryRun !== "server" && dryRun !== "false") {
    await deliverGeneration(result, delivery);
    return;
  }
  const { appliedText, applyPlan, planApply } = await import("./apply.ts");
  const objects = result.generation.policies.map(({ object }) => object);
  const plan = await planApply(objects, context, { ...flags, dryRun });
  const newest = context.observation.connections.newestSeconds();
  // A person sees what is to be applied before it is; a script gets one document at the end.
  if (isTable(delivery.output)) {
    await deliverGeneration(result, delivery);
    const text = appliedText(await applyPlan(plan, newest));
    await writePieces(delivery.outputDirectory === "" ? process.stderr : process.stdout, [text]);
  } else {
    const applied = await applyPlan(plan, newest);
    await deliverGeneration({ ...result, applied: applied.map(({ title: _, ...object }) => object) }, delivery);
  }
}
