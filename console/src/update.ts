/** Renders the whole page again; lit-html changes only what differs. */
let render: () => void = () => undefined;
let scheduled = false;

/** Sets what `update` runs. */
export function onUpdate(work: () => void): void {
  render = work;
}

/** Renders again after the present task, once for however many changes. */
export function update(): void {
  if (scheduled) return;
  scheduled = true;
  queueMicrotask(() => {
    scheduled = false;
    render();
  });
}
