// For `node --import`: unexpected faults, triggered by signals.
process.on('SIGUSR2', () => {
  throw new Error('thrown where nobody catches');
});
process.on('SIGWINCH', () => {
  void Promise.reject(new Error('rejected where nobody listens'));
});
