/** Events in the order of their times; those of the same time in the order in which they were added. A binary heap. */
export class EventQueue {
  #heap = [];
  #added = 0;
  nowMs = 0;

  at(timeMs, action) {
    const heap = this.#heap;
    const event = { timeMs: Math.max(timeMs, this.nowMs), order: this.#added++, action };
    let index = heap.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      if (isBefore(heap[parent], event)) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = event;
  }

  /** Runs all events up to this time. */
  runUntil(endMs) {
    while (this.#heap.length > 0 && this.#heap[0].timeMs <= endMs) {
      const { timeMs, action } = this.#takeFirst();
      this.nowMs = timeMs;
      action(timeMs);
    }
    this.nowMs = endMs;
  }

  #takeFirst() {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child += 1;
      if (isBefore(last, heap[child])) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(one, other) {
  return one.timeMs < other.timeMs || (one.timeMs === other.timeMs && one.order < other.order);
}
