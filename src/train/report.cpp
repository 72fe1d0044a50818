#include "train/report.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "base/atomic_file.h"
#include "base/html.h"
#include "t2v/error.h"

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
  svg << "<figure><figcaption>" << escape_html(title) << "</figcaption><svg viewBox='0 0 " << width + 8 << ' ' << height << "' role='img'>";
  for (int line = 0; line <= 4; ++line) {
    const double value = low + (high - low) * line / 4;
    svg << "<line x1='" << left << "' x2='" << width << "' y1='" << y(value) << "' y2='" << y(value) << "' class='grid'/><text x='"
        << left - 4 << "' y='" << y(value) + 4 << "' text-anchor='end'>" << number(value) << "</text>";
  }
  svg << "<text x='" << width << "' y='" << height - 6 << "' text-anchor='end'>" << number(most_minutes) << " min</text>";
  std::size_t colour = 0;
  std::string legend;
  for (const auto& [name, curve] : curves) {
    const auto* paint = colours[colour++ % std::size(colours)];
    svg << "<polyline fill='none' stroke='" << paint << "' stroke-width='1.5' points='";
    for (const auto& [minutes, value] : curve) svg << number(x(minutes)) << ',' << number(y(value)) << ' ';
    svg << "'/>";
    legend += "<span style='color:" + std::string(paint) + "'>" + escape_html(name) + " " + number(curve.back().value) + "</span> ";
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
    if (!line.is_object() || !line.contains("stage") || !line["stage"].is_string()) continue;  // a line that was cut off by a crash
    const auto stage = line["stage"].get<std::string>();
    if (line.contains("seconds") && line["seconds"].is_number()) minutes[stage] = line["seconds"].get<double>() / 60;
    for (const auto& [key, value] : line.items())
      if (const auto chart = chart_of(key); !chart.empty() && value.is_number())
        stages[stage][chart][key].push_back({minutes[stage], value.get<double>()});
  }
  return stages;
}

std::string draw_samples(const fs::path& run) {
  std::ifstream file(run / "samples" / "judged.jsonl");
  std::string html;
  int shown = 0;
  for (std::string text; shown < 24 && std::getline(file, text);) {
    const auto line = Json::parse(text, nullptr, false);
    if (!line.is_object() || !line.contains("file_name") || !line["file_name"].is_string()) continue;
    const auto clip = run / "samples" / fs::path(line["file_name"].get<std::string>()).filename();
    if (!fs::exists(clip)) continue;
    html += "<figure class='clip'><video autoplay loop muted playsinline src='" + data_uri_of_file("video/mp4", clip) +
            "'></video><figcaption>" + escape_html(line.value("prompt", "")) +
            (line.value(Json::json_pointer("/right/all_four"), false) ? " ✓" : "") + "</figcaption></figure>\n";
    ++shown;
  }
  return html.empty() ? "" : "<h2>Held-out prompts at the last evaluation</h2><div class='clips'>\n" + html + "</div>\n";
}

}  // namespace

void append_metrics(const fs::path& run, const Json& line) {
  const auto path = run / "metrics.jsonl";
  std::ofstream file(path, std::ios::app);
  file << line.dump() << "\n";
  file.flush();
  if (!file) throw Error(ErrorKind::output, path.string() + ": cannot be written; the last checkpoint stays as it was");
}

void write_training_report(const fs::path& run) {
  std::string html =
      "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>Training "
      "run</title><style>"
      ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 "
      "1rem}.charts,.clips{display:flex;flex-wrap:wrap;gap:1rem}"
      "figure{margin:0;width:28rem;max-width:100%}figcaption{font-weight:600}svg{width:100%}svg "
      "text{font-size:11px;fill:currentColor}.grid{stroke:currentColor;opacity:.15}"
      ".clip{width:11rem}.clip "
      "figcaption{font-weight:400;font-size:12px}video{width:100%;image-rendering:pixelated;border-radius:4px}</style></"
      "head><body><h1>Training run</h1>\n";
  for (const auto& [stage, charts] : read_charts(run)) {
    html += "<h2>" + escape_html(stage) + "</h2><div class='charts'>\n";
    for (const auto& [title, curves] : charts) html += draw_chart(title, curves);
    html += "</div>\n";
  }
  html += draw_samples(run) + "</body></html>\n";
  write_file_atomically(run / "report.html", html);
}

}  // namespace t2v
