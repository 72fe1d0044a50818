// t2v report
#include "batch/report.h"
#include "base/log.h"
#include "cli/app.h"
#include "t2v/error.h"

namespace t2v {

void add_report_command(CLI::App& app) {
  struct Options {
    std::string folder, out;
    int64_t embed = 64;
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand(
      "report", "Write one web page that shows a batch: clips, prompts, seeds, settings, failures, times");
  command->add_option("folder", options->folder, "Folder that t2v batch made clips into")
      ->required()
      ->type_name("DIR");
  command->add_option("-o,--out", options->out, "The page (default DIR/report.html)")->type_name("FILE.html");
  command
      ->add_option("--embed", options->embed,
                   "MiB of clips to put into the page, so that it can be sent on alone; clips beyond are "
                   "played from their files")
      ->capture_default_str()
      ->type_name("MIB")
      ->check(CLI::Range(int64_t{0}, int64_t{4096}));
  command->footer(
      "The page needs no network and no other file while its clips are within --embed. What the filter shows "
      "is in its address: "
      "report.html#state=failed&sort=seed.\n"
      "Unfinished batches can be shown too.\n\n"
      "Examples:\n  t2v report out\n  t2v report out -o /tmp/sheet.html --embed 500");
  command->callback([options] {
    const auto report = write_batch_report(options->folder, {options->out, options->embed << 20});
    log_info(std::to_string(report.items) + " clips; " + std::to_string(report.embedded) +
             " within the page" +
             (report.linked > 0
                  ? ", " + std::to_string(report.linked) + " played from their files beside it (--embed)"
                  : ""));
    print_line(report.path.string());
  });
}

}  // namespace t2v
