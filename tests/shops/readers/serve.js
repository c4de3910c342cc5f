// Servers that read cookies and parameters as their libraries do, until standard input ends: node serve.js PORT
//
// `/session/…` is express-session, `/own/…` an application that reads `sid` by npm's `cookie` 0.6, `/cookies/…` one that reads
// it by npm's `cookies` 0.9. `POST /laravel/mint` and `POST /rails/mint.json` stand for frameworks: the first merges query,
// form and JSON and trims (Laravel's `input()` behind TrimStrings), the second merges them (Rails' `params`). Each says who it is.

const cookie = require("cookie");
const Cookies = require("cookies");
const cookieSession = require("cookie-session");
const express = require("express");
const session = require("express-session");

process.stdin.on("end", () => process.exit()).resume();

const TOKENS = { "alice-0123456789-abcdef": "alice", "bob-0123456789-abcdefgh": "bob" };
const app = express();
app.use(express.json(), express.urlencoded({ extended: true }));
const who = (token) => ({ who: (typeof token === "string" && TOKENS[token]) || null });

const store = session({ secret: "kettle", resave: false, saveUninitialized: false });
app.get("/session/login", store, (request, response) => {
    request.session.who = request.query.who;
    response.json({});
});
app.get("/session/who", store, (request, response) => response.json({ who: request.session.who ?? null }));

const signed = cookieSession({ name: "state", keys: ["kettle"] });
app.get("/state/login", signed, (request, response) => {
    request.session.who = request.query.who;
    response.json({});
});
app.get("/state/who", signed, (request, response) => response.json({ who: request.session.who ?? null }));

app.get("/own/who", (request, response) => response.json(who(cookie.parse(request.headers.cookie ?? "").sid)));
app.get("/cookies/who", (request, response) => response.json(who(new Cookies(request, response).get("sid"))));

const merged = (request) => ({ ...request.query, ...request.body }).refresh_token;
app.post("/laravel/mint", (request, response) => response.json(who(String(merged(request) ?? "").trim())));
app.post(["/rails/mint", "/rails/mint.json"], (request, response) => response.json(who(merged(request))));

app.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
