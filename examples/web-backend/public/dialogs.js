import { wordsOf } from './words.js';

export class Cancelled extends Error {}

/**
 * Shows a dialog until `act` succeeds with what was entered, and returns its result. A refusal is shown, and the person can
 * try again.
 *
 * @param offers which fields and buttons are shown, by name; all others are as the page has them
 * @throws Cancelled when the person closes it
 */
export function ask(selector, offers, act) {
  const dialog = document.querySelector(selector);
  const form = dialog.querySelector('form');
  const fault = dialog.querySelector('.fault');
  const passkeyButton = dialog.querySelector('.passkey');
  form.reset();
  fault.textContent = '';
  for (const [name, isOffered] of Object.entries(offers)) {
    const field = form.elements[name];
    const element = name === 'passkey' ? passkeyButton : field.labels[0];
    element.hidden = !isOffered;
    if (field) field.disabled = !isOffered;
  }
  const typed = dialog.querySelector('.typed');
  if (typed)
    typed.hidden = !Object.entries(offers).some(([name, isOffered]) => isOffered && name !== 'passkey');

  return new Promise((resolve, reject) => {
    const attempt = async (usePasskey) => {
      try {
        resolve(await act({ ...Object.fromEntries(new FormData(form)), usePasskey }));
        dialog.close();
      } catch (error) {
        fault.textContent = wordsOf(error);
      }
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      attempt(false);
    };
    if (passkeyButton) passkeyButton.onclick = () => attempt(true);
    dialog.querySelector('.cancel').onclick = () => dialog.close();
    // After `resolve` this does nothing.
    dialog.onclose = () => reject(new Cancelled());
    dialog.showModal();
  });
}
