import type { CommandDefinition } from '../command.ts';

/** `postern serve` */
export const serve: CommandDefinition = (command) => {
  command.action(async () => {
    const [{ runUntilSignal }, { startService }, { consoleMessage, welcomeMessage }] = await Promise.all([
      import('../../compose/run-until-signal.ts'),
      import('../../compose/service.ts'),
      import('../../compose/welcome-message.ts'),
    ]);
    await runUntilSignal(
      'serve',
      startService,
      ({ isEmbedded, demoUser, consoleUrl, grpc, http, tls, servesHttpRpcs }) => {
        if (demoUser)
          return welcomeMessage(demoUser, { consoleUrl, grpc, http: servesHttpRpcs ? http : null, tls });
        return isEmbedded ? consoleMessage(consoleUrl) : '';
      },
    );
  });
};
