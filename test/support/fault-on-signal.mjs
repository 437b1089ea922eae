// For `node --import`: faults that no code of the service expects, when a signal asks for one.
process.on('SIGUSR2', () => {
  throw new Error('thrown where nobody catches');
});
process.on('SIGWINCH', () => {
  void Promise.reject(new Error('rejected where nobody listens'));
});
