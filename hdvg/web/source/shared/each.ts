// A value of its own for each measure: what shows it is drawn anew only where that very value has changed.
import { computed, type ReadonlySignal } from "@preact/signals";
import type { Bound } from "./axis";

/** `work` is done anew when a signal that it read has changed; where it gives `before` again, nothing is drawn. */
export function each<Named extends { name: string }, Value>(work: (one: Named, before: Value | undefined) => Value): (one: Named) => Value {
  const known = new Map<string, ReadonlySignal<Value>>();
  return (one) => {
    let found = known.get(one.name);
    if (!found) {
      let last: Value | undefined;
      found = computed(() => (last = work(one, last)));
      known.set(one.name, found);
    }
    return found.value;
  };
}

export function areSame(one: Bound | null, other: Bound | null): boolean {
  return one?.operator === other?.operator && Object.is(one?.value, other?.value);
}
