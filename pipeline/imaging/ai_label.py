"""PNG metadata that marks a generated picture as AI-made and records how to generate it again."""

import json
from collections.abc import Mapping

from PIL.PngImagePlugin import PngInfo

AI_COMMENT = "AI-generated: drawn by a neural network, not photographed"
AI_CHANGED_COMMENT = "AI-generated in part: a photograph that was changed by software"
# IPTC's digital source types for pictures made by a trained model, and for others with parts made by one.
AI_SOURCE, AI_CHANGED_SOURCE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{source}"/>
</rdf:RDF></x:xmpmeta><?xpacket end="r"?>"""


def ai_marks(recipe: Mapping[str, object], *, of_photograph: bool = False) -> PngInfo:
    """PNG text chunks for a generated picture, or a changed photograph; `recipe` holds what is needed to make it again."""
    marks = PngInfo()
    marks.add_text("Software", "Atelier")
    marks.add_text("Comment", AI_CHANGED_COMMENT if of_photograph else AI_COMMENT)
    marks.add_text("ai_generated", "true")
    marks.add_text("recipe", json.dumps(recipe, sort_keys=True))
    marks.add_itxt("XML:com.adobe.xmp", XMP.replace("{source}", AI_CHANGED_SOURCE if of_photograph else AI_SOURCE))
    return marks
