// What the draft of the rules would change, asked anew after each change.
import { effect, signal } from "@preact/signals";
import { post, Refusal } from "./api";
import type { WhatIf } from "./protocol";
import { meta, usable } from "./session";
import { page as shown } from "./view";

export const whatif = signal<WhatIf | null>(null);
export const whatifTrouble = signal<string | null>(null);

let planned: ReturnType<typeof setTimeout> | undefined;
effect(() => {
  const [draft, known, page] = [usable.value, meta.value, shown.value];
  if (!known || (page !== "overview" && page !== "compare")) return;
  clearTimeout(planned);
  planned = setTimeout(async () => {
    try {
      whatif.value = await post<WhatIf>("/api/whatif", { rules: draft, ask: "whatif" });
      whatifTrouble.value = null;
    } catch (error) {
      if (!(error instanceof Refusal && error.superseded)) whatifTrouble.value = (error as Error).message;
    }
  }, 150);
});
