// What patroni.mjs does to the cluster.
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../interop/patroni/patroni-cluster.mjs';

/** How long the standbys receive nothing before a leader is killed. */
const LAG_MS = 300;
/** How long etcd is away: longer than Patroni retries. */
const ETCD_AWAY_MS = 12_000;
/** How long the old leader is watched after it was let go. */
const AFTERWARDS_MS = 2_000;
/** How much the standbys have received, but not applied, when a leader is killed. */
const REPLAY_PAUSE_MS = 2_000;
/** How long a leader without synchronous standby stays away. */
const LEADER_AWAY_MS = 3_000;

/**
 * Each hurts the cluster and resolves when nothing more is done to it, to a function that starts again what was killed.
 *
 * @param probe connects to the leader without Postern
 * @param untilWritten resolves when both services have acknowledged a write from now on
 * @param restartServices kills both services and starts them
 */
export function patroniEvents(cluster, probe, { untilWritten, restartServices }) {
  const standbysOf = (leader) => cluster.nodes.filter((node) => node !== leader);

  function untilAnother(old) {
    return until('another leader', async () => {
      const leader = await cluster.leader();
      return leader !== old && leader;
    });
  }

  /** The leader is killed while the network to its standbys is cut, so commits are waiting for them. */
  async function loseLeader() {
    const leader = await cluster.leader();
    leader.toStandbys.swallowing = true;
    await pause(LAG_MS);
    await cluster.killNode(leader);
    leader.toStandbys.swallowing = false;
    leader.toStandbys.cut();
    return () => cluster.startNode(leader);
  }

  /**
   * Another leader is elected while the old one is hindered. Whatever the old one acknowledges when it is let go must be
   * kept, too.
   */
  async function replaceLeader(hinder, letGo) {
    const old = await cluster.leader();
    const held = await probe.connect(old);
    hinder(old);
    try {
      await untilAnother(old);
      await untilWritten();
    } finally {
      letGo(old);
    }
    await probe.write(held).catch(() => undefined);
    held.connection.stream.destroy();
    await pause(AFTERWARDS_MS);
  }

  return {
    'leader killed': { run: loseLeader },
    /** The second one before it has a synchronous standby, so it must come back itself. */
    'leader killed twice': {
      async run() {
        const first = await cluster.leader();
        await cluster.killNode(first);
        const second = await untilAnother(first);
        await cluster.killNode(second);
        cluster.startNode(first);
        await pause(LEADER_AWAY_MS);
        cluster.startNode(second);
      },
    },
    'switched over': { run: () => cluster.switchOver() },
    'leader paused': {
      run: () =>
        replaceLeader(
          (leader) => cluster.signalNode(leader, 'SIGSTOP'),
          // PostgreSQL first: for a moment it takes itself for the primary.
          (leader) => {
            for (const pid of cluster.processesOf(leader).reverse()) process.kill(pid, 'SIGCONT');
          },
        ),
    },
    'Patroni paused': {
      run: () =>
        replaceLeader(
          ({ patroni }) => patroni.child.kill('SIGSTOP'),
          ({ patroni }) => patroni.child.kill('SIGCONT'),
        ),
    },
    'leader cut off from etcd': {
      run: () =>
        replaceLeader(
          ({ toEtcd }) => (toEtcd.swallowing = true),
          ({ toEtcd }) => {
            toEtcd.swallowing = false;
            toEtcd.cut();
          },
        ),
    },
    'leader killed while standbys lag': {
      async run() {
        const leader = await cluster.leader();
        for (const standby of standbysOf(leader))
          await cluster.query(standby, 'SELECT pg_wal_replay_pause()');
        await pause(REPLAY_PAUSE_MS);
        await cluster.killNode(leader);
        return () => cluster.startNode(leader);
      },
    },
    'standby killed': {
      async run() {
        const standby = await cluster.synchronousStandby();
        await cluster.killNode(standby);
        return () => cluster.startNode(standby);
      },
    },
    'standbys cut off': {
      async run() {
        const { toStandbys } = await cluster.leader();
        toStandbys.swallowing = true;
        await untilWritten();
        return () => {
          toStandbys.swallowing = false;
          toStandbys.cut();
        };
      },
    },
    /** What the leader then wrote alone only it has, so it must come back itself. */
    'standbys and leader killed': {
      async run() {
        const leader = await cluster.leader();
        const standbys = standbysOf(leader);
        await Promise.all(standbys.map((standby) => cluster.killNode(standby)));
        await untilWritten();
        await cluster.killNode(leader);
        for (const standby of standbys) cluster.startNode(standby);
        await pause(LEADER_AWAY_MS);
        cluster.startNode(leader);
      },
    },
    'etcd killed': {
      async run() {
        await cluster.killEtcd();
        await pause(ETCD_AWAY_MS);
        cluster.startEtcd();
      },
    },
    'services killed': {
      killsServices: true,
      async run() {
        const leader = await cluster.leader();
        await cluster.killNode(leader);
        await pause(500);
        await restartServices();
        return () => cluster.startNode(leader);
      },
    },
    /** With a purge as well. */
    'keys rotate': { rotates: true, run: loseLeader },
  };
}
