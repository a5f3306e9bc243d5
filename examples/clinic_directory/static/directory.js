// Shows each clinic's card when its event arrives. What comes from clinics enters the page as text, never as markup.

const find = (id) => document.getElementById(id);
const query = find("query");
const cards = find("cards");
const TITLES = /^(dr|dott|prof|sig)(\.?ssa|\.?a|\.)?$/iu;

let source = null;
let waiting = []; // names of the clinics that have not answered yet
let total = 0;
let doctors = 0;
let failed = 0;
let speaking = 0;

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
const copy = (id) => find(id).content.firstElementChild.cloneNode(true);

// Letters without their accents, in lower case: "citta" finds "Città".
const fold = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

function initials(name) {
  const words = name.split(/\s+/u).filter((word) => /\p{L}/u.test(word) && !TITLES.test(word));
  const ends = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return ends.map((word) => word.match(/\p{L}/u)[0].toUpperCase()).join("");
}

// For screen readers, once things have been quiet for a moment.
function say(text, milliseconds = 0) {
  clearTimeout(speaking);
  speaking = setTimeout(() => { find("status").textContent = text; }, milliseconds);
}

function photo(url, name) {
  const image = new Image(44, 44);
  image.alt = `Photo of ${name}`;
  image.loading = "lazy";
  image.decoding = "async";
  image.referrerPolicy = "no-referrer";
  image.addEventListener("error", () => image.remove()); // the initials are underneath
  image.src = url;
  return image;
}

function doctorItem({ name, photo: url }) {
  const item = copy("doctor");
  item.dataset.name = fold(name);
  item.querySelector(".initials").textContent = initials(name);
  item.querySelector(".name").textContent = name;
  if (url) item.querySelector(".face").append(photo(url, name));
  return item;
}

function clinicCard({ clinic, seconds, doctors: list, problem }) {
  const card = copy("card");
  card.querySelector("h2").textContent = clinic;
  card.querySelector(".seconds").textContent = seconds < 0.05 ? "< 0.1 s" : `${seconds.toFixed(1)} s`;
  const line = card.querySelector(".count");
  if (problem) {
    card.classList.add("failed");
    line.textContent = "Could not be read";
    const words = copy("problem");
    words.querySelector(".what").textContent = problem.what;
    words.querySelector(".remedy").textContent = problem.remedy;
    card.append(words);
    return card;
  }
  line.textContent = list.length ? count(list.length, "doctor", "doctors") : "No active doctors";
  const people = document.createElement("ul");
  people.append(...list.map(doctorItem));
  card.append(people);
  return card;
}

// Show the doctors that hold every word of the search. A clinic that could not be read stays: the doctor may be there.
function filter() {
  const words = fold(query.value).split(/\s+/u).filter(Boolean);
  let found = 0;
  for (const card of cards.children) {
    let here = 0;
    for (const item of card.querySelectorAll(".doctor")) {
      item.hidden = !words.every((word) => item.dataset.name.includes(word));
      here += item.hidden ? 0 : 1;
    }
    card.hidden = words.length > 0 && here === 0 && !card.classList.contains("failed");
    found += here;
  }
  const nobody = words.length > 0 && found === 0;
  find("nobody").hidden = !nobody;
  find("nobody").textContent = nobody ? `No doctor is called “${query.value.trim()}”${waiting.length ? " so far" : ""}.` : "";
  return words.length ? found : null;
}

function showFacts() {
  const answered = total - waiting.length;
  const parts = [source ? `${answered} of ${count(total, "clinic", "clinics")}` : count(total, "clinic", "clinics")];
  parts.push(count(doctors, "doctor", "doctors"));
  if (failed) parts.push(`${failed} could not be read`);
  const found = filter();
  if (found !== null) parts.push(`${count(found, "match", "matches")}`);
  if (source && waiting.length && waiting.length <= 2) parts.push(`waiting for ${waiting.join(" and ")}`);
  find("facts").textContent = parts.join(" · ");
  find("progress").max = Math.max(total, 1);
  find("progress").value = answered;
}

function end() {
  source.close();
  source = null;
  document.body.classList.remove("reading");
  showFacts();
}

function read() {
  if (source) source.close();
  cards.replaceChildren();
  find("broken").hidden = true;
  [total, doctors, failed, waiting] = [0, 0, 0, []];
  document.body.classList.add("reading");
  find("facts").textContent = "Connecting …";
  source = new EventSource("/doctors");
  source.addEventListener("start", (event) => {
    waiting = JSON.parse(event.data).clinics;
    total = waiting.length;
    say(`Reading ${count(total, "clinic", "clinics")}.`);
    showFacts();
  });
  source.addEventListener("clinic", (event) => {
    const answer = JSON.parse(event.data);
    const at = waiting.indexOf(answer.clinic);
    if (at >= 0) waiting.splice(at, 1);
    doctors += answer.problem ? 0 : answer.doctors.length;
    failed += answer.problem ? 1 : 0;
    cards.append(clinicCard(answer));
    showFacts();
  });
  source.addEventListener("done", () => {
    end();
    say(`${find("facts").textContent.replaceAll(" · ", ", ")}. All clinics have answered.`);
  });
  source.addEventListener("error", () => {
    // Left alone it would connect again, and each time read all clinics anew.
    end();
    const text = "The connection to this page's server broke. What is shown may not be all: choose “Read again”.";
    find("broken").textContent = text;
    find("broken").hidden = false;
    say(text);
  });
}

query.addEventListener("input", () => {
  showFacts();
  const found = filter();
  say(found === null ? "All doctors are shown." : count(found, "doctor matches.", "doctors match."), 600);
});
find("again").addEventListener("click", read);
read();
