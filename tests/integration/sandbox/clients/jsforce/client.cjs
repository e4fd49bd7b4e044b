// Works an org with jsforce as any user of it would, and prints what it saw as one JSON document:
// a member for each scenario below. Whether that is right, the test that runs it says.
const { createSign } = require("node:crypto");
const { readFileSync } = require("node:fs");
const jsforce = require("jsforce"); // found by NODE_PATH: the packages lie outside this folder

const {
  ORG_URL: instanceUrl, ORG_TOKEN: accessToken, APP_KEY: clientId, APP_SECRET: clientSecret,
  APP_USER, APP_PRIVATE_KEY, APP_CODE, APP_CALLBACK, PACKAGE_ZIP,
} = process.env;
const version = "62.0";
const KEY = "External_Id__c";
const conn = new jsforce.Connection({ instanceUrl, accessToken, version });
conn.bulk2.pollInterval = 100;
const orders = conn.sobject("Commerce_Order__c");

async function refusal(promise) {
  try {
    return { unexpected: await promise };
  } catch (error) {
    return { name: error.name, code: error.errorCode, text: error.message };
  }
}

function assertion() {
  const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 180;
  const claims = { iss: clientId, sub: APP_USER, aud: instanceUrl, exp };
  const signed = `${encoded({ alg: "RS256" })}.${encoded(claims)}`;
  const key = readFileSync(APP_PRIVATE_KEY, "utf8");
  return `${signed}.${createSign("RSA-SHA256").update(signed).sign(key, "base64url")}`;
}

const SCENARIOS = {
  async identity() {
    const soap = await conn.soap.getUserInfo();
    return { identity: await conn.identity(), soap };
  },

  async describes() {
    const [all, one] = [await conn.describeGlobal(), await orders.describe()];
    const key = one.fields.find((field) => field.name === KEY);
    return { names: all.sobjects.map((object) => object.name), name: one.name, key };
  },

  async oneRow() {
    const created = await orders.create({ [KEY]: "js-1", Currency__c: "EUR", Total__c: 12.5 });
    const read = await orders.retrieve(created.id);
    const updated = await orders.update({ Id: created.id, Currency__c: "GBP" });
    const upserted = await orders.upsert({ [KEY]: "js-1", Total__c: 13 }, KEY);
    const inserted = await orders.upsert({ [KEY]: "js-2", Total__c: 1 }, KEY);
    const found = await orders.findOne({ [KEY]: "js-1" }, "Id, Currency__c, Total__c");
    const destroyed = await orders.destroy(created.id);
    const gone = await refusal(orders.retrieve(created.id));
    const undeleted = await conn.soap.undelete([created.id]);
    const back = await orders.retrieve(created.id);
    return { created, read, updated, upserted, inserted, found, destroyed, gone, undeleted, back };
  },

  async collections() {
    const keys = [...Array(450).keys()].map((number) => `js-many-${number}`);
    const rows = keys.map((key) => ({ [KEY]: key, Total__c: 1 }));
    const created = await orders.create(rows, { allowRecursive: true });
    const ids = created.map((outcome) => outcome.id);
    const [first, second] = ids;
    const changes = [{ Id: first, Total__c: 2 }, { Id: second, Status__c: "no such status" }];
    const updated = await orders.update(changes);
    const halted = await refusal(orders.update(changes, { allOrNone: true }));
    const twice = [{ [KEY]: "js-many-0", Total__c: 3 }, { [KEY]: "js-many-new", Total__c: 4 }];
    const upserted = await orders.upsert(twice, KEY);
    const read = await orders.retrieve([first, second, upserted[1].id], { fields: ["Id", "Total__c"] });
    const destroyed = await orders.destroy(ids, { allowRecursive: true });
    const bad = destroyed.filter((outcome) => !outcome.success).length;
    return { created: created.length, updated, halted, upserted, read, destroyed: ids.length, bad };
  },

  async queries() {
    const account = await conn.sobject("Account").create({ Name: "js account" });
    const people = ["Ada", "Bob", "Cyd"].map((name) => ({ LastName: name, AccountId: account.id }));
    await conn.sobject("Contact").create(people);
    const rows = [...Array(450).keys()].map((n) => ({ [KEY]: `js-page-${n}`, Total__c: n }));
    await orders.create(rows, { allowRecursive: true });
    const soql = `SELECT ${KEY} FROM Commerce_Order__c WHERE ${KEY} LIKE 'js-page-%'`;
    const headers = { "Sforce-Query-Options": "batchSize=200" };
    const page = await conn.query(soql, { headers });
    const more = await conn.queryMore(page.nextRecordsUrl, { headers });
    const all = await conn.query(soql, { autoFetch: true, maxFetch: 1000, headers });
    const streamed = [];
    await new Promise((resolve, reject) => {
      conn.query(soql).on("record", (record) => streamed.push(record[KEY]))
        .on("end", resolve).on("error", reject).run({ autoFetch: true, headers });
    });
    const nested = await conn.query("SELECT Name, Owner.Name, (SELECT LastName FROM Contacts"
      + ` ORDER BY LastName) FROM Account WHERE Id = '${account.id}'`);
    const parents = await conn.sobject("Contact").find({ "Account.Name": "js account" }, "LastName, Account.Name")
      .sort({ LastName: -1 }).limit(2).execute();
    const included = await conn.sobject("Account").find({ Id: account.id }, "Id, Name")
      .include("Contacts").select("LastName").where({ LastName: { $like: "A%" } }).end().execute();
    const since = jsforce.SfDate.toDateTimeLiteral(new Date(Date.now() - 3600_000));
    const counted = await orders.count({ [KEY]: { $like: "js-page-%" }, CreatedDate: { $gte: since } });
    const everything = await orders.find({ [KEY]: "js-page-7" }, ["*"]).execute();
    const plan = await conn.query(soql).explain();
    const size = all.length ?? all.records.length;
    return { page: page.records.length, total: page.totalSize, more: more.records.length, all: size, streamed: streamed.length, nested, parents,
      included, counted, everything, leading: plan.plans[0].sobjectType };
  },

  async bulk() {
    const input = ["a", "b", "c"].map((name) => ({ [KEY]: `js-bulk-${name}`, Status__c: "" }));
    input.push({ [KEY]: "js-bulk-bad", Status__c: "no such status" });
    const done = await conn.bulk2.loadAndWaitForResults({
      object: "Commerce_Order__c", operation: "upsert", externalIdFieldName: KEY, input,
      pollInterval: 100, pollTimeout: 20_000,
    });
    const soql = `SELECT Id, ${KEY}, Owner.Name FROM Commerce_Order__c`
      + ` WHERE ${KEY} LIKE 'js-bulk-%' ORDER BY ${KEY}`;
    const stream = await conn.bulk2.query(soql, { pollInterval: 100, pollTimeout: 20_000 });
    const rows = await stream.toArray();
    const job = conn.bulk2.createJob({ operation: "delete", object: "Commerce_Order__c" });
    await job.open();
    await job.uploadData(rows.map(({ Id }) => ({ Id })));
    await job.close();
    await job.poll(100, 20_000);
    const { successfulResults: removed } = await job.getAllResults();
    const info = await job.check();
    const refused = await refusal(conn.bulk2.query("SELECT Nope FROM Commerce_Order__c"));
    return { done, rows, removed: removed.length, info, refused };
  },

  async requests() {
    const base = `/services/data/v${version}`;
    const compositeRequest = [
      { method: "POST", url: `${base}/sobjects/Commerce_Order__c`, referenceId: "made", body: { [KEY]: "js-comp" } },
      { method: "GET", url: `${base}/sobjects/Commerce_Order__c/@{made.id}?fields=${KEY}`, referenceId: "read" },
    ];
    const composite = await conn.requestPost("/composite", { allOrNone: true, compositeRequest });
    const limits = await conn.limits();
    return { composite, limits, info: conn.limitInfo, recent: await conn.recent(5),
      recentOfType: await orders.recent(), versions: await conn.requestGet("/services/data") };
  },

  async feeds() {
    const made = await orders.create([{ [KEY]: "js-feed-1" }, { [KEY]: "js-feed-2" }]);
    await orders.destroy(made[1].id);
    const [start, end] = [new Date(Date.now() - 600_000), new Date(Date.now() + 120_000)];
    const updated = await orders.updated(start, end);
    const deleted = await orders.deleted(start.toISOString(), end.toISOString());
    return { ids: made.map(({ id }) => id), updated, deleted };
  },

  async refusals() {
    return {
      field: await refusal(conn.query("SELECT Nope FROM Commerce_Order__c")),
      syntax: await refusal(conn.query("SELEC Id FROM Commerce_Order__c")),
      object: await refusal(conn.sobject("Nope__c").create({ Name: "x" })),
      missing: await refusal(conn.request("/nope")),
      length: await refusal(orders.create({ [KEY]: "js-long", Currency__c: "far too long" })),
      twice: await refusal(orders.create({ [KEY]: "js-2" })),
      session: await refusal(new jsforce.Connection({ instanceUrl, accessToken: "00Dx!no", version }).limits()),
      password: await refusal(new jsforce.Connection({ loginUrl: instanceUrl, version }).login("a@b.c", "secret")),
    };
  },

  async logins() {
    const oauth2 = { loginUrl: instanceUrl, clientId, clientSecret, redirectUri: APP_CALLBACK };
    const bearer = new jsforce.Connection({ oauth2: { loginUrl: instanceUrl, clientId }, version });
    const byKey = await bearer.authorize({
      grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: assertion(),
    });
    const user = (await bearer.identity()).username;
    const machine = new jsforce.Connection({ instanceUrl, oauth2: { loginUrl: instanceUrl, clientId, clientSecret }, version });
    const bySecret = await machine.authorize({ grant_type: "client_credentials" });
    const person = new jsforce.Connection({ oauth2, version });
    const byCode = await person.authorize(APP_CODE);
    const refreshed = [];
    const { refreshToken } = person;
    const worn = new jsforce.Connection({ oauth2, instanceUrl, accessToken: "00Dx!old", refreshToken, version });
    worn.on("refresh", () => refreshed.push(true));
    const afterwards = (await worn.identity()).username;
    await worn.logout(true); // the refresh token, and with it every session that came of it
    const ended = await refusal(person.limits());
    return { byKey, user, bySecret, byCode, refreshed, afterwards, out: worn.accessToken, ended };
  },

  async metadata() {
    const { metadata } = conn;
    const zip = readFileSync(PACKAGE_ZIP);
    const deployed = await metadata.deploy(zip, { singlePackage: true, rollbackOnError: true })
      .complete({ details: true });
    const status = await metadata.checkDeployStatus(deployed.id, true);
    const byRest = await metadata.deployRest(zip, { singlePackage: true, checkOnly: true })
      .complete({ details: true });
    const described = await metadata.describe(version);
    const listed = await metadata.list([{ type: "CustomObject" }], version);
    const fields = (await conn.sobject("Made__c").describe()).fields.map(({ name }) => name);
    const wanted = { types: [{ members: ["Made__c"], name: "CustomObject" }], version };
    const packed = await metadata.retrieve({ apiVersion: version, singlePackage: true, unpackaged: wanted })
      .complete();
    const retrieved = packed.fileProperties.map(({ fileName }) => fileName);
    const made = await conn.sobject("Made__c").create({ Name: "made", Text__c: "text" });
    return { deployed, status, byRest, types: described.metadataObjects.map((one) => one.xmlName),
      listed: listed.map(({ fullName }) => fullName), fields, made, retrieved };
  },
};

async function main() {
  const seen = {};
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    try {
      seen[name] = await scenario();
    } catch (error) {
      seen[name] = { failed: error.stack };
    }
  }
  // the library may leave the end of an answer unread: Node.js would wait for the org to hang up
  process.stdout.write(JSON.stringify(seen), () => process.exit());
}

main();
