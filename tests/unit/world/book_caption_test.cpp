// Captions, read back by looking for the vocabulary's words in them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "world/book/book.h"
#include "world/book/vocabulary.h"

namespace t2v {
namespace {

struct Entry {
  std::string words;
  int meaning;
};

// What the words in a text mean; those within longer ones do not count.
std::set<int> meanings(std::string text, const std::vector<Entry>& entries) {
  for (auto& letter : text)
    letter = std::isalpha(static_cast<unsigned char>(letter)) == 0
                 ? ' '
                 : static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  text = " " + text + " ";
  struct Found {
    std::size_t begin, end;
    int meaning;
  };
  std::vector<Found> found;
  for (const auto& entry : entries) {
    const auto words = " " + entry.words + " ";
    for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
      found.push_back({at, at + words.size(), entry.meaning});
  }
  std::set<int> all;
  for (const auto& each : found) {
    const bool within = std::any_of(found.begin(), found.end(), [&](const Found& other) {
      return other.begin <= each.begin && each.end <= other.end &&
             other.end - other.begin > each.end - each.begin;
    });
    if (!within) all.insert(each.meaning);
  }
  return all;
}

std::vector<Entry> nouns() {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < book_nouns().size(); ++i)
    for (const auto& word : book_nouns()[i].words) entries.push_back({word, static_cast<int>(i)});
  return entries;
}

std::vector<Entry> places() {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < book_places().size(); ++i)
    for (const auto* phrases : {&book_places()[i].phrases, &book_places()[i].flowery})
      for (const auto& phrase : *phrases) entries.push_back({phrase, static_cast<int>(i)});
  return entries;
}

std::vector<Entry> motions() {
  std::vector<Entry> entries;
  for (int motion = 0; motion < static_cast<int>(book_motion_names().size()); ++motion)
    for (const auto& verb : book_motion_verbs(motion))
      for (const auto& words : {verb.ing, verb.finite}) entries.push_back({words, motion});
  std::vector<BookVerb> verbs{{"chasing", "chases"}};
  for (int manner = 0; manner <= static_cast<int>(BookManner::sliding); ++manner)
    for (const auto& verb : book_verbs(static_cast<BookManner>(manner))) verbs.push_back(verb);
  for (const auto& verb : verbs)
    for (const bool left : {true, false})
      for (const auto& direction : book_directions(left))
        for (const auto& words : {verb.ing, verb.finite})
          entries.push_back({words + " " + direction, left ? moving_left : moving_right});
  return entries;
}

std::vector<Entry> cameras() {
  using C = BookCamera;
  std::vector<Entry> entries;
  const auto add = [&](C camera, const std::vector<std::string>& phrases) {
    for (const auto& words : phrases) entries.push_back({words, static_cast<int>(camera)});
  };
  add(C::pans_left, {"pans left", "pans to the left", "panning left", "pan left"});
  add(C::pans_right, {"pans right", "pans to the right", "panning right", "pan right"});
  add(C::pans_up, {"pans up", "panning up", "pan up", "tilts up"});
  add(C::pans_down, {"pans down", "panning down", "pan down", "tilts down"});
  add(C::zooms_in, {"zooms in", "zooming in", "zoom in"});
  add(C::zooms_out, {"zooms out", "zooming out", "zoom out"});
  return entries;
}

std::set<int> told(const std::set<int>& all, bool is_told) { return is_told ? all : std::set<int>{}; }

TEST(BookCaption, AgreesWithWhatIsSeen) {
  const auto noun_words = nouns(), place_words = places(), motion_words = motions(), camera_words = cameras();
  int without_motion = 0, without_place = 0;
  for (uint64_t i = 0; i < 2000; ++i) {
    WorldRandom random(21, i);
    const auto scene = sample_book_scene(random, WorldSide::any, i % 2 == 0 ? 17 : 49, {});
    const auto caption = book_caption(scene, random);
    std::set<int> things, moves, at, filmed;
    bool chase = false;
    for (const auto& shot : scene.shots) {
      for (const auto& thing : shot.things) things.insert(thing.noun), moves.insert(thing.motion);
      at.insert(shot.place);
      if (shot.camera != BookCamera::still) filmed.insert(static_cast<int>(shot.camera));
      chase = chase || shot.relation == BookRelation::chasing;
    }
    EXPECT_EQ(meanings(caption.text, noun_words), things) << caption.text;
    EXPECT_EQ(meanings(caption.text, place_words), told(at, caption.place)) << caption.text;
    // "a cat chasing a dog to the left": the verb and where to are apart.
    if (!chase) {
      EXPECT_EQ(meanings(caption.text, motion_words), told(moves, caption.motion)) << caption.text;
    }
    EXPECT_EQ(meanings(caption.text, camera_words), told(filmed, caption.camera)) << caption.text;
    without_motion += !caption.motion, without_place += !caption.place;
  }
  EXPECT_NEAR(without_motion, 2000 * 0.1 * 0.75, 40);
  EXPECT_NEAR(without_place, 2000 * 0.1 * 0.8, 40);
}

TEST(BookCaption, OneInTenIsShortAndOneInTenLong) {
  int brief = 0, longer = 0;
  std::set<std::string> texts;
  for (uint64_t i = 0; i < 1000; ++i) {
    WorldRandom random(22, i);
    const auto scene = sample_book_scene(random, WorldSide::training, 17, {.two_things = 0});
    const auto text = book_caption(scene, random).text;
    brief += std::count(text.begin(), text.end(), ' ') <= 3;
    longer += text.size() > 100;
    texts.insert(text);
  }
  EXPECT_NEAR(brief, 70, 50);
  EXPECT_NEAR(longer, 100, 50);
  EXPECT_GT(texts.size(), 930U);
}

TEST(BookCaption, AnImageHasNoCameraMove) {
  for (uint64_t i = 0; i < 200; ++i) {
    WorldRandom random(23, i);
    const auto scene = sample_book_scene(random, WorldSide::training, 1, {});
    EXPECT_TRUE(meanings(book_caption(scene, random).text, cameras()).empty());
    EXPECT_EQ(scene.shots.at(0).things.at(0).motion, standing_still);
  }
}

TEST(BookCaption, ChasersAreBehindAndSaidToChase) {
  int chases = 0, said = 0;
  for (uint64_t i = 0; i < 3000; ++i) {
    WorldRandom random(24, i);
    const auto scene = sample_book_scene(random, WorldSide::training, 17, {.two_things = 1});
    const auto& shot = scene.shots.at(0);
    if (shot.relation != BookRelation::chasing) continue;
    ++chases;
    const auto poses = book_poses(shot, 128, 128);
    const bool left = shot.things[0].motion == moving_left;
    EXPECT_EQ(poses[0][8].x > poses[1][8].x, left);
    said += book_caption(scene, random).text.find(" chas") != std::string::npos;
  }
  EXPECT_GT(chases, 60);
  EXPECT_GT(said * 2, chases);
}

}  // namespace
}  // namespace t2v
