import type { SettingsPurpose, SettingValues } from './setting-values.ts';

/** What the rules are applied to. */
export interface SettingsRead {
  readonly values: SettingValues;
  /**
   * Settings whose own value is invalid. A rule that reads one of them is skipped, so that no fault is reported twice.
   */
  readonly faulty: ReadonlySet<keyof SettingValues>;
  readonly purpose: SettingsPurpose;
  readonly production: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A rule that ties settings to each other. */
export interface Rule {
  readonly reads: readonly (keyof SettingValues)[];
  /** Every purpose when left out. */
  readonly for?: readonly SettingsPurpose[];
  readonly isBroken: (values: SettingValues, read: SettingsRead) => boolean;
  readonly fault: string;
}
