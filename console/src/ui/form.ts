/** What a person has entered into a form, by the names of its fields. */
export interface Entered {
  /** The text of a field, without space around it; empty if there is none. */
  readonly text: (name: string) => string;
  /** The checked boxes of a name, by their values. */
  readonly checked: (name: string) => string[];
}

/** Reads a form that was submitted, and keeps the browser from sending it. */
export function entered(event: SubmitEvent): Entered {
  event.preventDefault();
  const fields = new FormData(event.target as HTMLFormElement);
  const texts = (name: string) => fields.getAll(name).filter((value) => typeof value === 'string');
  return { text: (name) => (texts(name)[0] ?? '').trim(), checked: texts };
}
