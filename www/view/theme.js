/** Light or dark: as the system says, unless the button was pressed. */

const STORED = 'halyard-theme';

function stored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
    return null;
  }
}

export function startTheme(button) {
  const root = document.documentElement;
  const chosen = stored();
  if (chosen === 'light' || chosen === 'dark') root.dataset.theme = chosen;
  button.addEventListener('click', () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === 'dark'
      : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    try {
      localStorage.setItem(STORED, root.dataset.theme);
    } catch {
      // As above.
    }
  });
}
