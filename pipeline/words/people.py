"""Names of people that captions leave out."""

# Common first names where the catalogues come from. A name that is also a word (Rose, Violet, Jasmine, Ruby, Grace, Sienna,
# Olive) is kept, because a caption more often means the word.
FIRST_NAMES = frozenset(
    """
    adam adele alexander alice alicia amanda amelia andrea andrew anette angela anja anna anne annette anton antonia
    arthur astrid audrey barbara beatrice benjamin bernd bianca brigitte camilla carla carlos carmen caroline catherine
    cecilia charlotte chiara chloe christian christina christopher clara claudia cristina daniel daniela david diana diego
    dominik dorothea edward elena elisabeth elizabeth ella ellen emily emma eric erik esther eva fabian felix fiona
    florian francesca franziska freya frieda friedrich gabriel gabriela george georgia gisela giulia greta guido hanna
    hannah hans heidi heike helen helena helene henry ida ines ingrid irina isabel isabella jacob jakob jana jane janina
    jens jessica johanna johannes john jonas jonathan joseph josephine juan judith julia julian juliane jürgen karin karl
    katharina kathrin katja katrin klara klaus konrad kristin lara laura lena leonie linda lisa lorenzo louisa louise luca
    lucas lucia luisa lukas lydia magdalena manuela marco margaret margarete maria marie marina mario marlene martin
    martina mathilda matthias maximilian melanie michael michelle miguel miriam monica monika moritz nadine natalie
    natasha nele nicole niklas nina nora olivia oscar patricia paul paula pauline peter petra philip philipp rachel raquel
    rebecca renate richard robert roberta romy rosalie sabine samantha sandra sarah sebastian selina simon simone sofia
    sonja sophia sophie stefan stefanie steffi stella susanne svenja sylvia tanja tatjana theresa thomas tobias ursula
    valentina valeria vanessa vera veronika victoria viktoria vincent vivien werner william wolfgang yvonne zoe
    """.split()  # noqa: SIM905  # a name a line would be 200 lines
)
# The most frequent surnames of China.
SURNAMES_ZH = (
    "王李张刘陈杨赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈"
    "钟姜崔谭陆范汪廖石贾韦夏付方邹熊孟秦邱侯江尹薛闫段雷龙史陶贺"
)
