import eslint from '@eslint/js';
import prettier from 'eslint-config-prettier';
import regexp from 'eslint-plugin-regexp';
import tseslint from 'typescript-eslint';

/** A signal that only a request refers to may be garbage collected together with its timer (N17). */
const lostTimers = ['timeout', 'any'].map((property) => ({
  object: 'AbortSignal',
  property,
  message: 'Use a timer that refers to what it aborts, as trust/download.ts does.',
}));

/** Names of variables that hold secrets: comparing those with === leaks their content through timing. */
const secretName = '/(secret|password|mac|digest)$/i';

export default tseslint.config(
  {
    ignores: [
      '**/dist/',
      'src/generated/',
      'node_modules/',
      'coverage/',
      '.interop/',
      'examples/',
      'clients/node/consumers/',
      'bench/results/',
    ],
  },
  eslint.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'no-restricted-syntax': [
        'error',
        {
          selector: `BinaryExpression[operator=/^[!=]==$/]:matches([left.name=${secretName}], [left.property.name=${secretName}]):not([right.type='Literal']):not([right.name='undefined'])`,
          message: 'Compare secrets with constantTimeEqual.',
        },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: { 'no-console': 'error' },
  },
  {
    // Text comes from unauthenticated callers: no expression may take superlinear time (N16).
    files: ['src/**/*.ts'],
    plugins: { regexp },
    rules: {
      'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }],
      'regexp/no-super-linear-move': ['error', { report: 'potential', ignoreSticky: false }],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: { 'no-restricted-properties': ['error', ...lostTimers] },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/trust/download.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        {
          name: 'fetch',
          message: 'Use download of trust/download.ts: a signal alone does not abort a stalled fetch.',
        },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/config/load-settings.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        ...lostTimers,
        {
          object: 'process',
          property: 'env',
          message: 'Only config/load-settings.ts reads the environment.',
        },
      ],
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    ...tseslint.configs.disableTypeChecked,
    languageOptions: {
      ...tseslint.configs.disableTypeChecked.languageOptions,
      globals: { Buffer: 'readonly', console: 'readonly', performance: 'readonly', process: 'readonly' },
    },
  },
  prettier,
);
