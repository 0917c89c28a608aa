// tinysphere: the fleet's server, and what an administrator does beside it.

#include <functional>
#include <string>

#include "base/command_line.h"
#include "base/result.h"
#include "tinysphere/command/dump_verbs.h"
#include "tinysphere/command/serve.h"
#include "tinysphere/command/verbs.h"
#include "tinysphere/operation/vitals.h"

namespace {

using base::Command;
using namespace tinysphere::command;  // NOLINT: this file is the list of what is in there

int Exit(const base::Status& status) {
  return status.ok() ? base::kExitDone : base::Fail("tinysphere", status.error());
}

void AddPlace(Command& verb, Place& place) {
  verb.Text("--data", place.data, "folder of keys, database and objects").Required();
  verb.Text("--database", place.database, "sqlite:FILE or postgresql://... (DATA/tinysphere.db)");
  verb.Text("--objects", place.objects, "file:DIR (DATA/objects), or s3://PREFIX");
}

}  // namespace

int main(int argc, char** argv) {
  base::CommandLine line("tinysphere", "Where a fleet of TinyLCM devices comes together.",
                         std::string(tinysphere::operation::kVersion));
  Place place;
  bool as_json = false;
  const auto add_json = [&](Command& verb) { verb.Flag("--json", as_json, "print JSON"); };

  ServeOptions serve;
  Command& serve_verb = line.Add("serve", "API, dashboard and workers in one process");
  AddPlace(serve_verb, serve.place);
  serve_verb.Text("--listen", serve.listen, "HOST:PORT; port 0 for any free one");
  serve_verb.Text("--public-url", serve.public_url, "how browsers and devices reach it");
  serve_verb.Text("--tls-cert", serve.tls_cert, "certificate chain, PEM");
  serve_verb.Text("--tls-key", serve.tls_key, "its key, PEM");
  serve_verb.Flag("--tls-self-signed", serve.tls_self_signed,
                  "a certificate of its own, pinned in enrolment tokens");
  serve_verb.Flag("--insecure-http-on-any-address", serve.insecure_http_on_any_address,
                  "serve plain HTTP to the network, where something in front speaks TLS");
  serve_verb.Text("--poll", serve.poll, "how often devices are asked to look in");
  serve_verb.Int("--workers", serve.workers,
                 "threads that unpack packages (0: as many as there are processors)");
  serve_verb.Text("--tinylcm", serve.tinylcm,
                  "the program that replays adaptations (tinylcm beside this one)");
  serve_verb.Flag("--roll-back-harmful", serve.rolls_back_harmful,
                  "order an adaptation back that was judged harmful, without a person");
  serve_verb.Text(
      "--mlflow", serve.mlflow,
      "http[s]://HOST:PORT of an MLflow 3 that gets experiments, runs and models; user "
      "and password come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
      "MLFLOW_TRACKING_TOKEN");
  serve_verb.Text("--mlflow-ca", serve.mlflow_ca, "certificates to trust for it, PEM");
  serve_verb
      .Text("--mlflow-experiments", serve.mlflow_experiments,
            "an experiment a model family, or a device")
      .OneOf({"family", "device"});
  serve_verb.Text("--mlflow-look", serve.mlflow_look, "how often its model registry is looked at");
  serve_verb.Text("--aggregate", serve.aggregate, "over what drift is aggregated into runs");
  serve_verb.Text("--log-level", serve.log_level, "the least that is logged; debug: every request")
      .OneOf({"debug", "info", "warning", "error"});
  serve_verb.Text("--log-format", serve.log_format, "lines for people or JSON for machines")
      .OneOf({"text", "json"});
  serve_verb.Flag("--legacy-devices", serve.legacy_devices,
                  "serve devices of the Python prototype, each with a token of its own; they sign "
                  "nothing");
  serve_verb.Action([&] { return Exit(Serve(serve)); });

  Command& migrate = line.Add("migrate", "bring the database's schema up to date");
  AddPlace(migrate, place);
  migrate.Action([&] { return Exit(MigrateDatabase(place)); });

  std::string dump;
  Command& export_verb = line.Add("export", "the whole installation, to be set up elsewhere");
  AddPlace(export_verb, place);
  export_verb.Text("--to", dump, "FILE.tar.zst or a new folder; it holds the server's keys")
      .Required();
  add_json(export_verb);
  export_verb.Action([&] { return Exit(ExportInstallation(place, dump, as_json)); });
  Command& import_verb = line.Add("import", "an exported installation, into what is empty");
  AddPlace(import_verb, place);
  import_verb.Text("--from", dump, "FILE.tar.zst or the folder").Required();
  add_json(import_verb);
  import_verb.Action([&] { return Exit(ImportInstallation(place, dump, as_json)); });

  NewUser user;
  Command& user_verb = line.Add("user", "who may sign in");
  Command& user_create = user_verb.Add("create", "a new user; the password is read from stdin");
  AddPlace(user_create, place);
  user_create.Text("--name", user.name, "1 to 64 of a-z 0-9 . _ @ -").Required();
  user_create.Text("--role", user.role, "viewer, operator or admin")
      .OneOf({"viewer", "operator", "admin"});
  user_create.Flag("--generate", user.generates, "make the password and print it, once");
  user_create.Action([&] { return Exit(CreateUser(place, user)); });
  Command& user_password =
      user_verb.Add("password", "a new password, read from stdin; ends the user's sessions");
  AddPlace(user_password, place);
  user_password.Text("--name", user.name, "whose").Required();
  user_password.Flag("--generate", user.generates, "make the password and print it, once");
  user_password.Action([&] { return Exit(ChangePassword(place, user)); });
  Command& user_remove = user_verb.Add("remove", "this user may sign in no more");
  AddPlace(user_remove, place);
  user_remove.Text("--name", user.name, "whom").Required();
  user_remove.Action([&] { return Exit(RemoveUser(place, user.name)); });
  Command& user_ls = user_verb.Add("ls", "the users");
  AddPlace(user_ls, place);
  add_json(user_ls);
  user_ls.Action([&] { return Exit(ListUsers(place, as_json)); });

  NewToken token;
  Command& token_verb = line.Add("token", "secrets for devices and programs");
  Command& token_create = token_verb.Add("create", "a new token; it is printed once");
  AddPlace(token_create, place);
  token_create
      .Text("--kind", token.kind,
            "enroll (a device joins, once), api (a program) or legacy (a device of the "
            "prototype)")
      .Required()
      .OneOf({"enroll", "api", "legacy"});
  token_create.Text("--publisher-key", token.publisher_key,
                    "enroll: FILE.pub of who may sign what devices install");
  token_create.Flag("--replace-publisher", token.replaces_publisher,
                    "enroll: this publisher instead of the one known here, whose bundles and "
                    "enrolled devices then no longer fit");
  token_create.Text("--tls-cert", token.tls_cert, "enroll: the certificate to pin, PEM");
  token_create.Text("--name", token.name, "api: what it is for");
  token_create.Text("--role", token.role, "api: viewer, operator or admin")
      .OneOf({"viewer", "operator", "admin"});
  token_create.Text("--device", token.device,
                    "legacy: the one device it is good for; its id never begins with d-");
  token_create.Text("--ttl", token.ttl, "how long it is good (24h, api: 90d, legacy: 10 years)");
  token_create.Action([&] { return Exit(CreateToken(place, token)); });
  std::string revoked_token;
  Command& token_revoke = token_verb.Add("revoke", "a token is good for nothing from now on");
  AddPlace(token_revoke, place);
  token_revoke.Text("token", revoked_token, "its name (api) or id (enroll, legacy), as in ls")
      .Required();
  token_revoke.Action([&] { return Exit(RevokeToken(place, revoked_token)); });
  Command& token_ls = token_verb.Add("ls", "the tokens, without their secrets");
  AddPlace(token_ls, place);
  add_json(token_ls);
  token_ls.Action([&] { return Exit(ListTokens(place, as_json)); });

  std::string package_id;
  bool only_failed = false;
  Command& package = line.Add("package", "what devices sent");
  Command& package_ls = package.Add("ls", "the newest 500");
  AddPlace(package_ls, place);
  package_ls.Flag("--failed", only_failed, "only those that were set aside, with the reason");
  add_json(package_ls);
  package_ls.Action([&] { return Exit(ListPackages(place, only_failed, as_json)); });
  Command& package_retry = package.Add("retry", "unpack once more what was set aside");
  AddPlace(package_retry, place);
  bool all_failed = false;
  package_retry.Text("package", package_id, "its id; nothing with --all-failed");
  package_retry.Flag("--all-failed", all_failed, "every package that was set aside");
  package_retry.Action([&] { return Exit(RetryPackage(place, package_id, all_failed)); });

  std::string device_id;
  Command& device = line.Add("device", "one device");
  Command& device_erase = device.Add(
      "erase", "delete all that it sent, rows and objects, for good; its key's state stays");
  AddPlace(device_erase, place);
  device_erase.Text("device", device_id, "its id").Required();
  add_json(device_erase);
  device_erase.Action([&] { return Exit(EraseDevice(place, device_id, as_json)); });

  std::string file;
  Command& model = line.Add("model", "bundles, as their publisher signed them");
  Command& model_add = model.Add("add", "register a signed bundle");
  AddPlace(model_add, place);
  model_add.Text("file", file, "FILE.tar.zst").Required();
  add_json(model_add);
  model_add.Action([&] { return Exit(AddModel(place, file, as_json)); });
  Command& model_ls = model.Add("ls", "models, versions, and where each runs");
  AddPlace(model_ls, place);
  add_json(model_ls);
  model_ls.Action([&] { return Exit(ListModels(place, as_json)); });

  NewRollout rollout;
  std::string rollout_id;
  Command& rollout_verb = line.Add("rollout", "bring a version to devices");
  Command& rollout_start = rollout_verb.Add("start", "to every device of the model family");
  AddPlace(rollout_start, place);
  rollout_start.Text("--name", rollout.name, "the model").Required();
  rollout_start.Text("--version", rollout.version, "the version").Required();
  rollout_start.Texts("--device", rollout.devices, "only this device (may be repeated)");
  add_json(rollout_start);
  rollout_start.Action([&] { return Exit(StartRollout(place, rollout, as_json)); });
  Command& rollout_ls = rollout_verb.Add("ls", "all rollouts, newest first");
  AddPlace(rollout_ls, place);
  add_json(rollout_ls);
  rollout_ls.Action([&] { return Exit(ListRollouts(place, as_json)); });
  for (const char* order : {"pause", "resume", "halt"}) {
    Command& verb = rollout_verb.Add(order, std::string(order) + " a rollout");
    AddPlace(verb, place);
    verb.Text("rollout", rollout_id, "its id").Required();
    add_json(verb);
    verb.Action([&, order] { return Exit(OrderRollout(place, rollout_id, order, as_json)); });
  }

  std::string bucket;
  std::string age;
  bool is_dry = false;
  Command& retention = line.Add("retention", "how long the object store keeps what");
  Command& retention_ls = retention.Add("ls", "the buckets");
  AddPlace(retention_ls, place);
  add_json(retention_ls);
  retention_ls.Action([&] { return Exit(ListRetention(place, as_json)); });
  Command& retention_set = retention.Add("set", "a bucket's contents go when they are older");
  AddPlace(retention_set, place);
  retention_set.Text("bucket", bucket, "which, as in ls").Required();
  retention_set.Text("age", age, "30d, or never").Required();
  retention_set.Action([&] { return Exit(SetRetention(place, bucket, age)); });
  Command& retention_run = retention.Add("run", "remove what is due; the server does so daily");
  AddPlace(retention_run, place);
  retention_run.Flag("--dry-run", is_dry, "only say what would go");
  add_json(retention_run);
  retention_run.Action([&] { return Exit(RunRetention(place, is_dry, as_json)); });

  bool is_quick = false;
  Command& fsck = line.Add("fsck", "whether database and objects say the same; changes nothing");
  AddPlace(fsck, place);
  fsck.Flag("--quick", is_quick, "compare sizes only, read no contents");
  add_json(fsck);
  fsck.Action([&] { return Exit(CheckStores(place, is_quick, as_json)); });

  Command& routes = line.Add("routes", "every route of the API, and who may use it");
  AddPlace(routes, place);
  routes.Action([&] { return Exit(ListRoutes(place)); });

  return line.Run(argc, argv);
}
