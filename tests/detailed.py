"""Detailed captions of real footage, written by hand in the form that `detailed` asks for, three to five sentences, short to long."""

DETAILED = (
    "A large grey rabbit stands on a green meadow in front of a hollow tree. It stretches its arms, yawns and looks around while "
    "small leaves move in the wind. The morning light is soft and comes from the left, and the camera stays where it is.",
    "A white cockatoo sits on a wooden perch and turns its head from side to side. It raises its yellow crest, opens its beak as if "
    "it was calling and then steps along the perch. The background is a blurred dark green, which makes the feathers stand out. The "
    "picture is a close-up in daylight, filmed by hand with slight movements.",
    "Cars drive along a wide grey road that is seen from high above, as a surveillance camera sees it. A white van passes from the "
    "upper left to the lower right, followed by two dark cars at the same distance. On both sides of the road there are strips of dry "
    "grass and a pavement on which nobody walks. The light is flat and the sky cannot be seen. The camera does not move at all.",
    "A brown dog runs over a lawn towards the camera, stops and looks up at someone who is outside the picture. Its tongue hangs out, "
    "its tail moves quickly and there is a red collar around its neck. Behind the dog there are a wooden fence, several bushes with "
    "white flowers and the lower part of a brick house. It is a sunny afternoon, and the long shadow of a tree lies over the grass. The "
    "shot is a medium one from the height of the dog, and the camera follows it to the right.",
    "A rocket stands on its launch pad at dawn while white vapour drifts away from its side. After a moment its engines light, a "
    "bright orange flame appears below it, and thick clouds of smoke roll to both sides along the ground. The rocket rises slowly at "
    "first, then faster, and leaves the upper edge of the picture, with the flame reflected in the water in front of the pad. The sky "
    "is pale blue with a band of pink above the horizon. It is a wide shot taken with a long lens from far away, and the camera tilts "
    "up to keep the rocket in the middle.",
    "Several small birds with brown backs and light bellies sit around a wooden feeder that hangs from the branch of a tree. One of "
    "them picks up a seed, turns around and flies off to the left, and at once another one takes its place. The branches behind them "
    "have no leaves, and a thin layer of snow lies on the roof of the feeder and on the thicker twigs. The light is cold and even, as on "
    "a cloudy winter day, and the colours are muted apart from the yellow of the seeds. The shot is a close-up from the side, filmed "
    "from a tripod, with a shallow depth of field that leaves the garden behind the tree as soft patches of grey and brown.",
    "Evening traffic moves through a street between tall office buildings whose windows are lit in yellow and white. A tram with two "
    "carriages comes around the corner from the right, slows down and stops beside a crowd of people who are waiting under "
    "umbrellas. Some of them step forward and get in, while a cyclist in a red jacket passes between the tram and the pavement. The wet "
    "asphalt mirrors the headlights of the cars, the green of the traffic light and a large blue sign above the entrance of a bank. It "
    "has just stopped raining, the sky is dark blue, and everything has the soft contrast of dusk. The shot is a wide one from the "
    "first floor of a house opposite, and the camera pans slowly to the left until the tram has left the picture.",
    "An elderly man with a grey beard and a leather apron bends over a workbench that is covered with chisels, clamps and curls of "
    "wood. He holds a piece of pale maple in his left hand, sets a small plane to its edge with his right and draws it towards himself "
    "in one long, even stroke, so that a thin shaving rises and falls over his fingers. Then he lifts the wood to his eye, turns it in "
    "the light of the window, blows the dust away and runs his thumb along the edge before he puts it down and reaches for a pencil. "
    "Behind him the bodies of four unfinished violins hang from a wire, and on the shelf below them stand jars of varnish in every "
    "shade from honey to dark brown. Warm daylight falls in from the left and leaves the right half of the workshop in shadow, with "
    "dust floating in the beam. The shot begins as a close-up of the hands and pulls back, slowly and without a jolt, to a medium shot "
    "of the man at his bench.",
)
