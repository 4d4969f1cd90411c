// The page of one agent: it reads the agent's documents when its stream of events says
// that something changed, and changes nothing itself.
//
// Who holds a document or a part of one has the name of its type in the table of
// dashboard_test.go, which follows every field that is read here to docs/json.md.
// What documents say becomes text, never markup: names come from anybody.

const patience = 8000; // for one answer, longer than the agent waits for a busy node
const most = 200; // entries of a list that are shown
const kept = 100; // entries of the log

const byId = (id) => document.getElementById(id);

// Documents leave lists out that are empty.
const pick = (list, wanted) => (list ?? []).filter((entry) => wanted(entry));
const each = (list, shown) => (list ?? []).map((entry) => shown(entry));
const newest = (list, count) => (list ?? []).slice(-count).reverse();

// ---- text ----

// now is the time by the agent's clock, which may not be that of this machine.
let skew = 0;
const now = () => Date.now() + skew;

const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

// clock is a time of day, with the date when that is not clear.
function clock(ms) {
  const date = new Date(ms);
  return Math.abs(now() - ms) < 43200000 ? date.toLocaleTimeString() : date.toLocaleString();
}


// spell is a duration as people say it.
function spell(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

// decoded is what base64 stands for: as text if it is one, else in hexadecimal.
function decoded(base64) {
  const bytes = Uint8Array.from(atob(base64 ?? ""), (letter) => letter.charCodeAt(0));
  if (bytes.length === 0) return "none";
  if (!bytes.includes(0)) {
    try {
      return new TextDecoder("utf-8", {fatal: true}).decode(bytes);
    } catch {} // it is something else
  }
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

const names = new Map(); // of nodes, by id
const nameOf = (id) => names.get(id) ?? `node ${id}`;
const namesOf = (ids) => each(ids, nameOf).join(", ");

// ---- elements ----

// make is an element. Strings among the children become texts; what is empty is left out.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const key of Object.keys(attributes)) element.setAttribute(key, attributes[key]);
  element.append(...children.flat(2).filter((child) => child || child === 0));
  return element;
}

// quoted is a text of somebody else: cut when it is very long, and shut in, so
// that its direction of writing turns nothing else around.
function quoted(text) {
  const letters = Array.from(text);
  return make("bdi", {}, letters.length > 300 ? `${letters.slice(0, 300).join("")} …` : text);
}

const mark = (kind, text) => make("b", {class: kind}, text);
const faint = (...children) => make("span", {class: "faint"}, ...children);
const listed = (entries) => make("ul", {}, entries.map((entry) => make("li", {}, entry)));
const fact = (name, ...value) => [make("dt", {}, name), make("dd", {}, ...value)];

// at is a time of day, ago the time since then, which goes on by itself.
const at = (time) => make("time", {datetime: time, title: new Date(time).toLocaleString()}, clock(Date.parse(time)));
function ago(time) {
  const since = Date.parse(time);
  if (since <= 0) return "an unknown time";
  return make("time", {"data-since": since, title: new Date(time).toLocaleString()}, spell(now() - since));
}

const remains = (until) => (until > now() ? `${spell(until - now())} left` : "time is over");
const left = (until) => make("time", {"data-until": until}, remains(until));

function table(caption, heads, rows) {
  return make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": caption},
    make("table", {},
      make("thead", {}, make("tr", {}, heads.map((head) => make("th", {scope: "col"}, head)))),
      make("tbody", {}, rows)));
}

const row = (head, ...cells) => make("tr", {}, make("th", {scope: "row"}, head), cells.map((cell) => make("td", {}, cell)));

// scroll is a list that may be long.
const scroll = (caption, entries) => make("ol", {class: "log", tabindex: "0", "aria-label": caption}, entries);

function more(list) {
  const others = (list ?? []).length - most;
  return others > 0 ? make("p", {class: "faint"}, `and ${others} more`) : "";
}

// show makes the children of an element these. What did not change stays as it is, with
// the reader's focus, selection and place.
function show(element, ...children) {
  patchChildren(element, make("div", {}, ...children));
}

function patchChildren(element, fresh) {
  const old = Array.from(element.childNodes);
  const wanted = Array.from(fresh.childNodes);
  wanted.forEach((child, i) => (i < old.length ? patch(old[i], child) : element.append(child)));
  for (const child of old.slice(wanted.length)) child.remove();
}

function patch(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    old.data = fresh.data;
    return;
  }
  for (const key of fresh.getAttributeNames()) old.setAttribute(key, fresh.getAttribute(key));
  for (const key of old.getAttributeNames()) {
    if (!fresh.hasAttribute(key) && key !== "open") old.removeAttribute(key); // open is the reader's
  }
  patchChildren(old, fresh);
}

// ---- this node, its ring, quorum ----

let lastWhy = ""; // the text of the last explanation

function showStatus(status) {
  const quorum = status.quorum;
  skew = Date.parse(status.time) - Date.now();
  for (const member of status.members) names.set(member.id, member.name ?? `node ${member.id}`);
  if (status.node.started !== started) {
    started = status.node.started;
    lastDecision = 0; // it counts anew, and tells the decisions of its life below
    log = log.filter((entry) => Date.parse(entry[0]) < Date.parse(started));
  }
  for (const decision of status.decisions) note(decision);
  showLog();

  const missing = pick(status.members, (member) => !member.in_ring);
  const words = verdict(status, missing.length);
  const title = `${status.cluster}, ${nameOf(status.node.id)}`;
  byId("verdict").className = words[0];
  show(byId("verdict"), words[1]);
  show(byId("title"), quoted(title));
  document.title = `${words[0] === "good" ? "" : "▲ "}${words[1]} · ${title}`;
  paint(words[0]);

  show(byId("node"),
    isStuck(status) ? make("p", {class: "bad"}, "The process answers, and the node in it does not: nothing is known of ring and quorum. Its log may say more.") :
      quorum.quorate ? make("p", {}, quorum.reason) : whyNot(quorum, missing),
    isStuck(status) ? "" : quorum.provider ? votes(quorum) : make("p", {}, "Nothing is counted: every ring is quorate."),
    make("dl", {},
      fact("Node", `${nameOf(status.node.id)} (${status.node.id}), process ${status.node.pid}, version ${status.version}`),
      fact("Up for", ago(status.node.started)),
      fact("State", status.state),
      status.ring ? ringFacts(status.ring) : fact("Ring", "none yet"),
      isStuck(status) ? "" : fact("Services", syncText(status.sync))),
    warnings(status));
  show(byId("nodes"), status.members.length === 0 ? make("p", {class: "faint"}, "Not known now.") : table("Nodes and links", ["Node", "Ring", "Votes", "Links"], each(status.members, memberRow)));
}

const isStuck = (status) => status.state === "not answering" || status.state === "ended";

// whyNot is what keeps quorum away: the decision, who is not here, and what became of
// them.
const whyNot = (quorum, missing) => make("div", {class: "protocol"},
  make("p", {}, mark("bad", "Why not quorate? "),
    quorum.currency === "current" ? "" : `The last decision does not count now (${quorum.currency}). It was: `, quorum.reason, "."),
  missing.length > 0 ? make("p", {}, `Not here: ${namesOf(each(missing, (member) => member.id))}.`) : "",
  lastWhy ? make("p", {}, lastWhy) : "");

// verdict is one sentence about everything, and how good that is.
function verdict(status, away) {
  if (isStuck(status)) return ["bad", "The node's work does not go on"];
  if (!status.quorum.quorate) return ["bad", "Not quorate"];
  if (away > 0) return ["warn", `Quorate, ${status.members.length - away} of ${count(status.members.length, "node")} here`];
  if (!status.sync.ready) return ["warn", "Quorate, services are being synchronised"];
  if (status.state !== "operational") return ["warn", "Quorate, a new ring is being made"];
  return ["good", `Quorate, ${status.members.length === 1 ? "the one node is" : `all ${status.members.length} nodes are`} here`];
}

const votes = (quorum) => make("p", {},
  make("meter", {min: 0, max: quorum.expected_votes, low: quorum.needed, value: quorum.votes, "aria-label": "Votes"}),
  `${count(quorum.votes, "vote")} of ${quorum.expected_votes} expected, ${quorum.needed} needed`,
  quorum.device_votes ? `, ${quorum.device_votes} of them a quorum device's` : "");

const ringFacts = (ring) => [
  fact("Ring", `${ring.id} for `, ago(ring.since)),
  fact("Members", namesOf(ring.members)),
];

function syncText(sync) {
  if (sync.ready) return "synchronised";
  return [mark("warn", `not synchronised: ${sync.state}`), sync.service ? `, ${sync.service}` : "",
    sync.missing ? `, waiting for ${namesOf(sync.missing)}` : ""];
}

// warnings are sentences about what an operator should look at.
function warnings(status) {
  const found = [
    status.blocked_by ? `${nameOf(status.blocked_by)} holds the ring up.` : "",
    status.authentication === "none" ? "Authentication: none. Anybody who knows the cluster's name is heard." : "",
    status.quorum.relies_on_fencing ? "Two sides of a split may both be quorate: that needs fencing." : "",
    status.watchdog.gaps > 0 ? `The process was not run in time, ${count(status.watchdog.gaps, "time")}; longest ${Math.round(status.watchdog.longest_ms)} ms.` : "",
    (status.warnings ?? []).map((text) => quoted(text)),
    each(status.quarantine, keptOutText),
    each(pick(status.services, (service) => service.process && (service.process.state !== "running" || isNew(service.process))), serviceText),
    each(pick(status.queues, (queue) => queue.used > queue.bound / 2), queueText),
  ].flat().filter((text) => text);
  return found.length > 0 ? [make("h3", {}, "To look at"), listed(found)] : "";
}

const keptOutText = (keptOut) => `${nameOf(keptOut.node)} is kept out${keptOut.by ? ` by the ring of ${nameOf(keptOut.by)}` : ""}: ${keptOut.text}${
  keptOut.void ? ", without effect now" : keptOut.left_ms > 0 ? `, ${spell(keptOut.left_ms)} more` : ", its time is over"}.`;

// isNew is about one that was started again, and has yet to show that it lasts.
const isNew = (life) => life.restarts > 0 && now() - Date.parse(life.since) < 60000;

const serviceText = (service) => `Service ${service.name}: its process is ${service.process.state}, ${spell(now() - Date.parse(service.process.since))}${
  service.process.restarts > 0 ? `; ${count(service.process.restarts, "time")} started again, last after ${service.process.last_exit}${
    service.process.reason ? ` (${service.process.reason})` : ""}` : ""}.`;

const queueText = (queue) => `Queue ${queue.name}: ${queue.used} of ${queue.bound} ${queue.unit}${queue.blocked_by ? `; ${queue.blocked_by}` : ""}.`;

const memberRow = (member) => row(
  [member.name ?? "node", faint(` ${member.id}`), member.self ? faint(", this one") : ""],
  member.in_ring ? mark("good", "member") : mark("bad", "not here"),
  String(member.votes),
  member.self ? faint("itself") : each(member.links, linkText));

const linkText = (link) => make("div", {},
  link.state === "up" ? mark("good", "up") : link.state === "half" ? mark("warn", "half: heard, and does not hear us") : mark("bad", link.state),
  ` link ${link.number}, ${link.addr}`,
  link.state !== "down" && link.rtt_us ? `, ${link.rtt_us < 1000 ? `${link.rtt_us} µs` : `${(link.rtt_us / 1000).toFixed(1)} ms`}` : "",
  link.loss >= 0.01 ? mark("warn", `, ${Math.round(link.loss * 100)} % lost`) : "",
  link.flaps ? mark("warn", `, went down ${count(link.flaps, "time")} in the last minute`) : "");

// ---- explanations ----

function showWhy(why) {
  lastWhy = why.found ? why.text : "";
  show(byId("why"),
    make("p", {}, why.text),
    why.found ? make("p", {class: "faint"}, at(why.time), why.ring ? `, ring ${why.ring}` : "", ", ", ago(why.time), " ago") : "",
    why.quorum ? make("p", {}, mark(why.quorum.quorate ? "good" : "bad", why.quorum.changed ? "Quorum changed: " : "Quorum: "), why.quorum.text) : "",
    (why.awaited ?? []).length > 0 ? make("p", {class: "note"}, `Not told yet what they saw: ${namesOf(why.awaited)}.`) : "",
    each(why.nodes, partText),
    make("details", {}, make("summary", {}, "Earlier explanations"), logList("Earlier explanations", log.filter((entry) => entry[1] === "why" && entry[2] !== why.text))));
}

const partText = (part) => make("details", {},
  make("summary", {}, `${part.name ?? nameOf(part.node)}: ${part.text}`),
  part.away_reason ? make("p", {}, `It had been away${part.away_ms ? ` for ${spell(part.away_ms)}` : ""}: ${part.away_reason}.`) : "",
  part.remedy ? make("p", {}, make("b", {}, "What helps: "), part.remedy) : "",
  listed(each(part.evidence, (evidence) => `${evidence.text} (${nameOf(evidence.witness)}, link ${evidence.link})`)));

// ---- process groups ----

const showGroups = (groups) => show(byId("groups"),
  groups.groups.length === 0 ? make("p", {class: "faint"}, "No process is in a group.") :
    table("Process groups", ["Group", "Size", "Members"], each(groups.groups.slice(0, most), groupRow)),
  more(groups.groups));

const groupRow = (group) => row(quoted(group.name), String(group.members.length),
  [each(group.members.slice(0, 20), processText).join(", "), group.members.length > 20 ? ` and ${group.members.length - 20} more` : ""]);

const processText = (process) => `${process.pid} on ${process.node_name ?? nameOf(process.node)}`;

// ---- Group Services ----

let voting = false; // some group has a protocol in work

function showServices(gs) {
  const theirs = pick(gs.groups, (gsGroup) => !gsGroup.system);
  const own = pick(gs.groups, (gsGroup) => gsGroup.system);
  const working = pick(gs.groups, (gsGroup) => gsGroup.protocol);
  voting = working.length > 0;
  show(byId("voting"),
    make("p", {}, gs.state === "established" ? `The domain ${gs.domain} is established; ${nameOf(gs.nameserver)} has been in it longest.` :
      gs.state === "recovering" ? mark("warn", "The domain is recovering: the nodes find out who is here.") : "No program uses Group Services yet."),
    gs.state === "not established" ? "" : make("p", {class: "faint"},
      `${count(gs.clients.length, "program")} of this node connected. `,
      own.length > 0 ? `Of the service itself: ${each(own, (gsGroup) => `${gsGroup.name} (${gsGroup.providers.length})`).join(", ")}.` : ""),
    listed(each(pick(gs.clients, (program) => program.silent), (program) => `Process ${program.pid} does not answer its checks.`)),
    each(working, workText),
    theirs.length > 0 ? table("Groups that vote", ["Group", "State value", "Providers, the oldest first", "Now"], each(theirs.slice(0, most), gsGroupRow)) : "",
    more(theirs),
    gs.recent.length > 0 ? make("details", {}, make("summary", {}, "Last protocols"),
      scroll("Last protocols", each(newest(gs.recent, 20), outcomeText))) : "");
}

const gsGroupRow = (gsGroup) => row(quoted(gsGroup.name), quoted(decoded(gsGroup.state_value)),
  [namesOfProviders(gsGroup.providers), gsGroup.waiting.length > 0 ? make("div", {class: "faint"}, "waiting: ", namesOfProviders(gsGroup.waiting)) : ""],
  gsGroup.protocol ? mark("warn", `${gsGroup.protocol.kind}, phase ${gsGroup.protocol.phase}`) : faint("quiet"));

const namesOfProviders = (providers) => {
  const text = each((providers ?? []).slice(0, 20), providerText).join(", ");
  return (providers ?? []).length > 20 ? `${text} and ${providers.length - 20} more` : text;
};

const providerText = (provider) => `${provider.instance}/${provider.node} ${provider.node_name ?? nameOf(provider.node)}${
  provider.pid ? `, process ${provider.pid}` : ""}${provider.state ? ` (${provider.state})` : ""}`;

// workText is a protocol in work: who proposed what, who has voted, who has not, and
// what time they have.
function workText(gsGroup) {
  const protocol = gsGroup.protocol;
  const awaited = pick(protocol.votes, (vote) => !vote.vote);
  return make("div", {class: "protocol"},
    make("h3", {}, quoted(gsGroup.name), `: ${protocol.kind}, phase ${protocol.phase}`),
    make("p", {}, `Protocol ${protocol.number}, proposed by ${protocol.proposer ? providerText(protocol.proposer) : "the service itself"}`,
      protocol.state_value ? [": state value ", quoted(decoded(protocol.state_value))] : "",
      protocol.joining ? `, joining: ${namesOfProviders(protocol.joining)}` : "",
      protocol.leaving ? `, leaving: ${namesOfProviders(protocol.leaving)}` : ""),
    make("p", {}, make("b", {}, protocol.votes.length === 0 ? "Nobody votes" :
      `${protocol.votes.length - awaited.length} of ${protocol.votes.length} voted`), ", ", timeOf(protocol)),
    protocol.votes.length > 0 ? table(`Votes of ${gsGroup.name}`, ["Voter", "Vote"], each(protocol.votes.slice(0, most), voteRow)) : "",
    protocol.scripts ? make("p", {}, `Deactivate scripts run: ${namesOfProviders(protocol.scripts)}`) : "");
}

// timeOf is how long a phase has been in work, and what is left of it.
function timeOf(protocol) {
  const begun = protocol.for_ms === undefined ? "begun before this node came" : [ago(new Date(now() - protocol.for_ms).toISOString()), " in this phase"];
  if (protocol.limit_s === 0) return [begun, ", no time limit"];
  return [begun, protocol.left_ms === undefined ? "" : [", ", left(now() + protocol.left_ms)],
    `; the limit is ${protocol.limit_s} s, and who is late or fails counts as ${protocol.default_vote}`];
}

const voteRow = (vote) => row(providerText(vote.provider),
  [vote.vote ? mark(vote.vote === "reject" ? "bad" : "good", vote.vote) : mark("warn", "awaited"), vote.default ? `, by default: ${vote.default}` : ""]);

const outcomeText = (outcome) => make("li", {}, at(outcome.time), " ",
  mark(outcome.outcome.endsWith("rejected") ? "bad" : "good", outcome.outcome), " ", quoted(outcome.text));

// ---- topics of events ----

function showTopics(topics) {
  const slow = pick(topics.subscribers, (subscriber) => subscriber.full || subscriber.missed > 0);
  const reasons = Object.keys(topics.refused).map((reason) => `${topics.refused[reason]} × ${reason}`);
  show(byId("topics"),
    topics.refusing ? make("p", {}, mark("bad", "Nothing can be published here: "), topics.refusing) : make("p", {}, `Membership ${topics.seq}.`),
    make("p", {class: "faint"}, `${count(topics.published, "event")} published, ${topics.told} told to ${
      count(topics.subscribers.length, "subscription")} of this node, ${topics.missed} missed.`,
      reasons.length > 0 ? ` Refused: ${reasons.join(", ")}.` : ""),
    topics.topics.length > 0 ? table("Topics of events", ["Topic", "Keeps", "Last", "Used by"], each(topics.topics.slice(0, most), topicRow)) : "",
    more(topics.topics),
    slow.length > 0 ? table("Subscriptions that do not take their events", ["Process", "Topic", "Waiting", "Missed"], each(slow.slice(0, most), slowRow)) : "",
    topics.ended.length > 0 ? make("details", {}, make("summary", {}, "Ended subscriptions"),
      scroll("Ended subscriptions", each(newest(topics.ended, 20), endText))) : "");
}

const topicRow = (topic) => row([quoted(topic.name), topic.unlinked ? faint(" (deleted)") : ""],
  topic.created ? `${keptOf(topic)}${topic.durable ? ", durable" : ""}` : faint("a group"),
  String(topic.last), `${count(topic.members.length, "member")}, ${count(topic.opens, "open")}`);

// keptOf leaves out how many a topic keeps if publishers had more of them kept.
const keptOf = (topic) => topic.kept <= topic.keep && topic.keep > 0 ? `${topic.kept} of ${topic.keep}` : String(topic.kept);

const slowRow = (subscriber) => row(String(subscriber.pid), quoted(subscriber.topic || subscriber.kind),
  subscriber.full ? mark("bad", `${subscriber.waiting}, no more may`) : String(subscriber.waiting), String(subscriber.missed));

const endText = (end) => make("li", {}, at(end.time), " ", faint(end.reason), ` process ${end.pid}, `, quoted(end.topic || end.kind), ": ", quoted(end.text));

// ---- what happened ----

let log = []; // the oldest first: time, kind, text
let lastDecision = 0; // the number of the newest one in it
let started = ""; // the life of the agent whose numbers those are

function write(time, kind, text) {
  log = [...log, [time, kind, text]].slice(-kept);
}

function note(decision) {
  if (decision.no <= lastDecision) return; // an event told it, or the status did
  lastDecision = decision.no;
  write(decision.time, decision.kind, decision.text);
}

const logList = (caption, entries) => scroll(`${caption}, newest first`,
  newest(entries, kept).map((entry) => make("li", {}, at(entry[0]), " ", faint(entry[1]), " ", quoted(entry[2]))));

const showLog = () => show(byId("log"), log.length > 0 ? logList("What happened", log) : make("p", {class: "faint"}, "Nothing yet."));

// ---- reading documents ----

const documents = new Map(); // by route: where its errors are shown, and what shows it
const asked = new Map(); // by route: when it was read last
const stale = new Set(); // routes to be read

function read(route, place, shown) {
  documents.set(route, [place, shown]);
  asked.set(route, 0);
}

read("/v1/why", "why", (why) => showWhy(why));
read("/v1/status", "node", (status) => showStatus(status));
read("/v1/groups", "groups", (groups) => showGroups(groups));
read("/v1/groupservices", "voting", (gs) => showServices(gs));
read("/v1/topics", "topics", (topics) => showTopics(topics));

let answering = false; // the last question had an answer
let heard = 0; // when the agent last said anything
let timer = 0; // of the next round, or -1 while there is one

// soon reads documents in a moment, together with what else changes until then.
function soon(...routes) {
  for (const route of routes) stale.add(route);
  if (timer === 0 && stale.size > 0) timer = setTimeout(round, 100);
}

async function round() {
  timer = -1;
  const routes = [...stale];
  stale.clear();
  for (const route of routes) {
    await ask(route);
    if (!answering) break; // the others are due again by themselves
  }
  timer = setTimeout(() => { // at most one round a second, however much happens
    timer = 0;
    soon();
  }, 900);
  showConnection();
}

async function ask(route) {
  asked.set(route, Date.now());
  let good, answer;
  try {
    const response = await fetch(route, {cache: "no-store", signal: AbortSignal.timeout(patience)});
    good = response.ok;
    answer = await response.json();
  } catch { // no connection, no answer in time, or not the agent's
    answering = false;
    hangUp(); // it may be dead as well without knowing
    return;
  }
  answering = true;
  heard = Date.now();
  const place = documents.get(route);
  byId(`${place[0]}-note`).textContent = good ? "" : failureText(answer);
  if (good) place[1](answer);
}

const failureText = (failure) => `Not known now: ${failure.error}`;

// due is after how many milliseconds a document is read although no event told of it:
// some of what they show makes none, such as round trips and single votes.
function due(route) {
  if (!answering || !streaming) return 3000;
  if (route === "/v1/groupservices") return voting ? 2000 : 5000;
  return route === "/v1/status" || route === "/v1/topics" ? 10000 : 60000;
}

// ---- the stream of events ----

let source = null;
let streaming = false; // it is open
let tried = 0; // when it was last opened
let last = "now"; // the id of the last event

// concerned are the documents that an event makes stale, by its type.
const concerned = {
  hello: [],
  gap: [...documents.keys()],
  view: [...documents.keys()],
  quorum: ["/v1/why", "/v1/status"],
  decision: ["/v1/why", "/v1/status", "/v1/groupservices"],
  group: ["/v1/groups"],
  service: ["/v1/status"],
};

function listen() {
  tried = Date.now();
  source = new EventSource(`/v1/events?since=${encodeURIComponent(last)}`);
  source.onopen = () => {
    streaming = true;
    soon(...documents.keys());
    showConnection();
  };
  source.onerror = () => { // by itself it would begin where it began, and give up for some answers
    hangUp();
    soon("/v1/status"); // is it the stream, or the agent?
  };
  for (const type of Object.keys(concerned)) source.addEventListener(type, told);
}

function told(message) {
  last = message.lastEventId || last;
  heard = Date.now();
  happened(JSON.parse(message.data));
}

function happened(event) {
  if (event.decision) note(event.decision);
  else if (event.type !== "hello") write(event.time, event.type, event.text);
  soon(...concerned[event.type]);
  drawLog();
}

// drawLog shows the log once for all events that came together.
let drawing = false;
function drawLog() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    showLog();
  }, 50);
}

function hangUp() {
  source?.close();
  source = null;
  streaming = false;
  showConnection();
}

// ---- is the agent there? ----

function showConnection() {
  const lost = asked.get("/v1/status") > 0 && !answering;
  document.body.classList.toggle("lost", lost);
  byId("lost").hidden = !lost;
  show(byId("live"), lost ? "The agent is asked again every 3 seconds." : streaming ? "Live: what happens is shown as it happens." :
    "The stream of events is interrupted; documents are read every 3 seconds until it is back.");
  if (!lost) return show(byId("alarm"));
  show(byId("alarm"), heard === 0 ? "The agent does not answer." :
    `The agent does not answer since ${clock(heard)}. What is shown here is from then.`);
  show(byId("silence"), heard === 0 ? "" : ["For ", ago(new Date(heard + skew).toISOString()), "."]);
  if (painted === "lost") return;
  byId("verdict").className = "bad";
  show(byId("verdict"), "No answer");
  document.title = `▲ No answer · ${byId("title").textContent}`;
  paint("lost");
}

// paint makes the icon of the tab: a disk, or a square when something is wrong.
let painted = "";
function paint(kind) {
  if (kind === painted) return;
  painted = kind;
  const canvas = make("canvas", {width: 32, height: 32});
  const pen = canvas.getContext("2d");
  pen.fillStyle = {good: "#2e9e50", warn: "#e09a1a", bad: "#d3262b", lost: "#8a8a8a"}[kind];
  if (kind === "bad" || kind === "lost") pen.fillRect(2, 2, 28, 28);
  else {
    pen.arc(16, 16, 14, 0, 7);
    pen.fill();
  }
  byId("icon").setAttribute("href", canvas.toDataURL());
}

// tick moves what depends on the time, and asks what is due.
function tick() {
  for (const element of document.querySelectorAll("[data-since]")) element.textContent = spell(now() - Number(element.getAttribute("data-since")));
  for (const element of document.querySelectorAll("[data-until]")) element.textContent = remains(Number(element.getAttribute("data-until")));
  if (source === null && Date.now() - tried >= 3000) listen();
  if (document.hidden && streaming) return; // nobody looks, and events still come
  soon(...[...documents.keys()].filter((route) => Date.now() - asked.get(route) >= due(route)));
}

listen();
soon(...documents.keys());
setInterval(tick, 1000);
