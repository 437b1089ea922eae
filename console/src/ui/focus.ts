/** For `ref`: puts the keyboard where a person goes on, once the element is on the page. */
export function focus(element: Element | undefined): void {
  // lit-html calls it before the element is on the page, and dialogs open right after that.
  queueMicrotask(() =>
    queueMicrotask(() => {
      if (element instanceof HTMLElement && element.isConnected) element.focus();
    }),
  );
}
