#include "train/run/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "base/atomic_file.h"
#include "base/html.h"
#include "t2v/error.h"
#include "train/run/files.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

struct Point {
  double minutes, value;
};
using Curve = std::vector<Point>;

// Title of a chart → name of a curve → points; one set of charts for each stage.
using Charts = std::map<std::string, std::map<std::string, Curve>>;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string draw_chart(const std::string& title, const std::map<std::string, Curve>& curves) {
  constexpr double width = 460, height = 220, left = 52, bottom = 24, top = 8;
  constexpr const char* colours[] = {"#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2"};
  double most_minutes = 1e-9, low = 1e300, high = -1e300;
  for (const auto& [name, curve] : curves)
    for (const auto& [minutes, value] : curve) {
      most_minutes = std::max(most_minutes, minutes);
      low = std::min(low, value);
      high = std::max(high, value);
    }
  if (high <= low) high = low + 1e-9;
  const auto x = [&](double minutes) { return left + (width - left) * minutes / most_minutes; };
  const auto y = [&](double value) { return top + (height - bottom - top) * (high - value) / (high - low); };
  std::ostringstream svg;
  svg << "<figure><figcaption>" << escape_html(title) << "</figcaption><svg viewBox='0 0 " << width + 8 << ' '
      << height << "' role='img'>";
  for (int line = 0; line <= 4; ++line) {
    const double value = low + (high - low) * line / 4;
    svg << "<line x1='" << left << "' x2='" << width << "' y1='" << y(value) << "' y2='" << y(value)
        << "' class='grid'/><text x='" << left - 4 << "' y='" << y(value) + 4 << "' text-anchor='end'>"
        << number(value) << "</text>";
  }
  svg << "<text x='" << width << "' y='" << height - 6 << "' text-anchor='end'>" << number(most_minutes)
      << " min</text>";
  std::size_t colour = 0;
  std::string legend;
  for (const auto& [name, curve] : curves) {
    const auto* paint = colours[colour++ % std::size(colours)];
    svg << "<polyline fill='none' stroke='" << paint << "' stroke-width='1.5' points='";
    for (const auto& [minutes, value] : curve) svg << number(x(minutes)) << ',' << number(y(value)) << ' ';
    svg << "'/>";
    legend += "<span style='color:" + std::string(paint) + "'>" + escape_html(name) + " " +
              number(curve.back().value) + "</span> ";
  }
  svg << "</svg><p>" << legend << "</p></figure>\n";
  return svg.str();
}

std::string chart_of(const std::string& key) {
  if (key.starts_with("loss") || key == "held_out_loss") return "Loss";
  if (key == "background" || key == "colour" || key == "shape" || key == "motion" || key == "all_four")
    return "Adherence, share of held-out prompts";
  if (key == "psnr") return "PSNR, dB";
  if (key == "learning_rate_factor") return "Learning rate, share of its peak";
  if (key == "gradient_norm") return "Gradient norm";
  if (key.ends_with("_per_second")) return key.substr(0, key.size() - 11) + " a second";
  return "";
}

std::map<std::string, Charts> read_charts(const fs::path& run) {
  std::map<std::string, Charts> stages;
  std::map<std::string, double> minutes;
  std::ifstream file(run / "metrics.jsonl");
  for (std::string text; std::getline(file, text);) {
    const auto line = Json::parse(text, nullptr, false);
    if (!line.is_object() || !line.contains("stage") || !line["stage"].is_string())
      continue;  // a line that was cut off by a crash
    const auto stage = line["stage"].get<std::string>();
    if (line.contains("seconds") && line["seconds"].is_number())
      minutes[stage] = line["seconds"].get<double>() / 60;
    for (const auto& [key, value] : line.items())
      if (const auto chart = chart_of(key); !chart.empty() && value.is_number())
        stages[stage][chart][key].push_back({minutes[stage], value.get<double>()});
  }
  return stages;
}

// One evaluation's folder below samples/.
struct Evaluation {
  std::string title;
  std::vector<std::string> prompts, clips;  // clips: HTML; where a file is gone, empty
};

Evaluation read_evaluation(const fs::path& folder, std::size_t most) {
  Evaluation evaluation{.title = folder.filename().string(), .prompts = {}, .clips = {}};
  std::ifstream file(folder / "judged.jsonl");
  for (std::string text; evaluation.clips.size() < most && std::getline(file, text);) {
    const auto line = Json::parse(text, nullptr, false);
    if (!line.is_object() || !line.contains("file_name") || !line["file_name"].is_string()) continue;
    const auto clip = folder / fs::path(line["file_name"].get<std::string>()).filename();
    const bool right = line.value(Json::json_pointer("/right/all_four"), false);
    evaluation.prompts.push_back(line.value("prompt", ""));
    evaluation.clips.push_back(is_absent(clip) ? ""
                                               : "<video autoplay loop muted playsinline src='" +
                                                     data_uri_of_file("video/mp4", clip) +
                                                     "'></video><small>" + (right ? "✓" : "") + "</small>");
  }
  return evaluation;
}

// At most `most` of the run's evaluations, the last one last and with `last_clips` clips, the others as
// evenly spread as they can be and with `clips` each.
std::vector<Evaluation> read_evaluations(const fs::path& run, std::size_t most, std::size_t clips,
                                         std::size_t last_clips) {
  std::vector<fs::path> folders;
  std::error_code end;
  for (fs::directory_iterator entry(run / "samples", end); !end && entry != fs::directory_iterator();
       entry.increment(end))
    if (!is_absent(entry->path() / "judged.jsonl")) folders.push_back(entry->path());
  std::sort(folders.begin(), folders.end());
  const auto shown = std::min(most, folders.size());
  std::vector<Evaluation> evaluations;
  for (std::size_t i = 1; i <= shown; ++i)
    evaluations.push_back(
        read_evaluation(folders[i * folders.size() / shown - 1], i < shown ? clips : last_clips));
  return evaluations;
}

std::string draw_samples(const fs::path& run) {
  constexpr std::size_t columns = 8, rows = 8, clips = 24;
  const auto evaluations = read_evaluations(run, columns, rows, clips);
  if (evaluations.empty()) return "";
  const auto& last = evaluations.back();
  std::string html = "<h2>Held-out prompts over time</h2><div class='scroll'><table><tr><th></th>";
  for (const auto& evaluation : evaluations) html += "<th>" + escape_html(evaluation.title) + "</th>";
  html += "</tr>\n";
  for (std::size_t row = 0; row < std::min(rows, last.clips.size()); ++row) {
    html += "<tr><th>" + escape_html(last.prompts[row]) + "</th>";
    for (const auto& evaluation : evaluations) {
      const bool same = row < evaluation.prompts.size() && evaluation.prompts[row] == last.prompts[row];
      html += "<td>" + (same ? evaluation.clips[row] : "") + "</td>";
    }
    html += "</tr>\n";
  }
  html += "</table></div>\n";
  std::string more;
  for (std::size_t i = rows; i < last.clips.size(); ++i)
    if (!last.clips[i].empty())
      more += "<figure class='clip'>" + last.clips[i] + "<figcaption>" + escape_html(last.prompts[i]) +
              "</figcaption></figure>\n";
  return html + (more.empty()
                     ? ""
                     : "<h2>More of the last evaluation</h2><div class='clips'>\n" + more + "</div>\n");
}

}  // namespace

std::string sample_folder_name(const std::string& stage, int64_t step) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "-step-%08lld", static_cast<long long>(step));
  return stage + digits;
}

void append_metrics(const fs::path& run, const Json& line) {
  const auto path = run / "metrics.jsonl";
  std::ofstream file(path, std::ios::app);
  file << line.dump() << "\n";
  file.flush();
  if (!file)
    throw Error(ErrorKind::output,
                path.string() + ": cannot be written; the last checkpoint stays as it was");
}

void write_training_report(const fs::path& run) {
  std::string html =
      "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
      "content='width=device-width'><title>Training "
      "run</title><style>"
      ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2rem "
      "auto;max-width:62rem;padding:0 "
      "1rem}.charts,.clips{display:flex;flex-wrap:wrap;gap:1rem}"
      "figure{margin:0;width:28rem;max-width:100%}figcaption{font-weight:600}svg{width:100%}svg "
      "text{font-size:11px;fill:currentColor}.grid{stroke:currentColor;opacity:.15}"
      ".clip{width:11rem}.clip figcaption{font-weight:400;font-size:12px}"
      ".scroll{overflow-x:auto}th{font-weight:400;font-size:12px;text-align:left;max-width:14rem}td "
      "video{width:7rem}"
      "video{width:100%;image-rendering:pixelated;border-radius:4px}</style></head><body><h1>Training "
      "run</h1>\n";
  for (const auto& [stage, charts] : read_charts(run)) {
    html += "<h2>" + escape_html(stage) + "</h2><div class='charts'>\n";
    for (const auto& [title, curves] : charts) html += draw_chart(title, curves);
    html += "</div>\n";
  }
  html += draw_samples(run) + "</body></html>\n";
  write_file_atomically(run / "report.html", html);
}

}  // namespace t2v
