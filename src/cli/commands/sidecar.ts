import { wrongUse } from '../command-failure.ts';
import type { CommandDefinition } from '../command.ts';
import { keepHeapSmall } from '../heap-limits.ts';

/** `postern sidecar --upstream HOST:PORT|unix:PATH` */
export const sidecar: CommandDefinition = (command) => {
  command
    .requiredOption(
      '--upstream <address>',
      'address of the service: HOST:PORT, unix:PATH, dns:///NAME:PORT or ipv4:ADDRESS:PORT,ADDRESS:PORT',
    )
    .option(
      '--token-upstream <address>',
      'address of the service, when --upstream is a relay, which issues no tokens; the same forms',
    )
    .addHelpText(
      'after',
      '\nThe sidecar authenticates with a service account, POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET (postern service create),\n' +
        'or with the token of a workload that is bound to one, POSTERN_TOKEN_FILE (postern service bind).\n' +
        'With POSTERN_RELAY=on it serves WatchTrust on, to verifiers and to other sidecars.\n' +
        'It needs none through a unix socket, or with a client certificate that the service lists.',
    )
    .action(async ({ upstream, tokenUpstream }: { upstream: string; tokenUpstream?: string }) => {
      keepHeapSmall();
      const [{ runUntilSignal }, { startSidecar, upstreamsFault }] = await Promise.all([
        import('../../compose/run-until-signal.ts'),
        import('../../compose/sidecar/sidecar.ts'),
      ]);
      await runUntilSignal('sidecar', (settings, log, _onFatal, linesLost) => {
        const upstreams = { trust: upstream, tokens: tokenUpstream ?? upstream };
        const fault = upstreamsFault(settings, upstreams);
        if (fault !== null) throw wrongUse(fault.message, fault.advice);
        return startSidecar(settings, upstreams, log, linesLost);
      });
    });
};
