// Rows of the selection by their place, a hundred at a time, as the grid comes to need them.
import { signal } from "@preact/signals";
import { post, Refusal } from "./api";
import type { Row, Rows, Selection, Sort } from "./protocol";

const PAGE = 100;
const PAGES_KEPT = 60;

export interface Question {
  snapshot: string;
  selection: Selection;
  sort?: Sort;
  columns: string[];
}

export class RowSource {
  readonly total = signal<number | null>(null);
  readonly trouble = signal<string | null>(null);
  /** Counts up as rows come. */
  readonly arrived = signal(0);
  private readonly pages = new Map<number, Row[]>();
  private readonly asked = new Set<number>();

  constructor(readonly question: Question) {
    void this.load(0);
  }

  at(place: number): Row | undefined {
    return this.pages.get(Math.floor(place / PAGE))?.[place % PAGE];
  }

  /** Of the rows that are here; -1 where it is not among them. */
  placeOf(clip: string): number {
    for (const [page, rows] of this.pages) {
      const at = rows.findIndex((row) => row.clip_id === clip);
      if (at >= 0) return page * PAGE + at;
    }
    return -1;
  }

  find(clip: string): Row | undefined {
    return this.at(this.placeOf(clip));
  }

  /** Have rows `first` to before `end`. */
  want(first: number, end: number): void {
    const last = Math.min(end, this.total.peek() ?? 0) - 1;
    for (let page = Math.floor(Math.max(first, 0) / PAGE); page <= Math.floor(last / PAGE); page++) {
      if (!this.pages.has(page) && !this.asked.has(page)) void this.load(page);
    }
  }

  private async load(page: number): Promise<void> {
    this.asked.add(page);
    const { selection, sort, columns } = this.question;
    try {
      const found = await post<Rows>("/api/rows", { selection, sort, columns, offset: page * PAGE, limit: PAGE });
      this.pages.set(page, found.rows);
      for (const old of this.pages.keys()) {
        if (this.pages.size <= PAGES_KEPT) break;
        this.pages.delete(old);
      }
      this.trouble.value = null;
      this.total.value = found.total;
      this.arrived.value += 1;
    } catch (error) {
      if (!(error instanceof Refusal && error.superseded)) this.trouble.value = (error as Error).message;
    } finally {
      this.asked.delete(page);
    }
  }
}
