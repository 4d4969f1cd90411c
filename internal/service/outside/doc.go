// Package outside is the agent's side of a service that runs in a process of
// its own. Package remote is the other side; docs/protocols/service.md describes
// what they tell each other, and this package has the codec for both.
//
// The Service here holds no state of the service that it stands for. It gives the
// process the order of the ring as one stream of events, puts what the process
// multicasts into that order, and passes calls of clients on. Rounds of
// synchronisation run in the process. So a process never keeps a round of the
// other services waiting, and it may come and go while the ring stays.
//
// # Configurations of the service
//
// A process that ends has lost its state, as a node has that crashed. So the
// service has configurations of its own: their members are the nodes on which its
// process runs. One changes when the ring does, and when a process comes or goes.
// All members of the ring take part in a change, with a process or without:
//
//   - It begins with a regular configuration of the ring, or at the place of the
//     first Roll with a new number. There the process gets a transitional
//     configuration, without those whose process is gone.
//   - Each member says in a Roll whether a process runs there, and in which life.
//     From then on it holds back what its process multicasts: behind the Rolls of
//     all members nothing is on the way any more. What comes before that is given to
//     those alone who come along with its sender, whose states are the same.
//   - At the place of the last Roll the process gets the regular configuration. It
//     runs its round, says that it is ready, and messages flow again.
//
// Rolls of one number come to the same place everywhere, so all processes see
// the same configurations, messages and rounds in the same order.
//
// # Limits
//
// A process may be behind. What it has not taken is accounted as what any client
// has not taken: it slows the ring, and after 30 s in which little was taken the
// process is ended. It is ended too when it does not answer for Config.Timeout.
// Multicasts of a process that the ring has not taken are bounded by Window, calls
// of clients that it has not taken by MaxCalls; clients' calls wait beyond that,
// and while there is no process or it is not ready.
//
// # Concurrency
//
// As all services.
package outside
