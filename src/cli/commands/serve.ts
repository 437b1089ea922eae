import type { CommandDefinition } from '../command-definition.ts';

/** `postern serve` */
export const serve: CommandDefinition = (command) => {
  command.action(async () => {
    const { serve: run } = await import('../../main.ts');
    await run();
  });
};
